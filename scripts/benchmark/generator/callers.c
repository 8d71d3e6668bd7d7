/* Callers: each sends a start over the control socket and waits for its reply. */
#define _GNU_SOURCE
#include "generator.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_LATENCIES 2000000
#define PAUSE_SECONDS 0.02 /* before a start is asked again */

long starts_answered;
double *latencies;

static struct link callers[MAX_CALLERS];
static char asked[MAX_CALLERS][192]; /* the start of each */
static long run; /* of this program: no key of an earlier one is used again */

struct link *caller_at(int index)
{
    return &callers[index];
}

void callers_open(void)
{
    if (!latencies && !(latencies = calloc(MAX_LATENCIES, sizeof *latencies)))
        fail("calloc");
    starts_answered = 0;
    run = run ? run : (long)(now() * 1e3) << 22 | getpid();
    struct sockaddr_un server = {.sun_family = AF_UNIX};
    snprintf(server.sun_path, sizeof server.sun_path, "%s", options.control);
    for (int i = 0; i < options.callers; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server))
            fail("the control socket");
        fcntl(fd, F_SETFL, O_NONBLOCK);
        callers[i] = (struct link){.kind = CALLER, .state = READY, .fd = fd, .index = i};
        watch(&callers[i], EPOLLIN);
    }
}

void callers_close(void)
{
    for (int i = 0; i < options.callers; i++) {
        close(callers[i].fd);
        callers[i].fd = -1;
    }
}

static void caller_ask(struct link *caller)
{
    caller->busy = 1;
    caller->asked_at = now();
    send_all(caller, asked[caller->index], strlen(asked[caller->index]));
}

void caller_start(struct link *caller)
{
    /* Every caller has devices of its own, so that no start waits behind another's. */
    int devices_each = options.beating / options.callers;
    int device = random() % devices_each * options.callers + caller->index;
    static long orders;
    snprintf(asked[caller->index], sizeof asked[caller->index],
             "command{\"imei\":\"%s\",\"type\":\"start\",\"long\":\"0900\","
             "\"key\":\"bench-%lx-%ld\"}\n",
             devices[device].imei, run, ++orders);
    caller_ask(caller);
}

void callers_due(double now)
{
    for (int i = 0; i < options.callers; i++)
        if (!callers[i].busy && now >= callers[i].next_at)
            (callers[i].missed_at ? caller_ask : caller_start)(&callers[i]);
}

void caller_event(struct link *caller)
{
    char *reply = caller->buffer;
    ssize_t size = recv(caller->fd, reply + caller->used, sizeof caller->buffer - caller->used - 1, 0);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        fprintf(stderr, "generator: the server closed a caller's connection\n");
        exit(1);
    }
    caller->used += size;
    reply[caller->used] = 0;
    if (reply[caller->used - 1] != '\n')
        return;
    double at = now();
    caller->used = caller->busy = 0;
    if (options.again > 0 && strstr(reply, "\"404\"")) {
        caller->missed_at = caller->missed_at ? caller->missed_at : at;
        caller->next_at = at + PAUSE_SECONDS;
        if (at < caller->missed_at + options.again)
            return;
    }
    if (!strstr(reply, "\"200\"")) {
        fprintf(stderr, "generator: a start was answered %s", reply);
        exit(1);
    }
    caller->missed_at = 0;
    if (starts_answered < MAX_LATENCIES)
        latencies[starts_answered++] = at - caller->asked_at;
    caller->next_at = at + options.think * (0.5 + random() / (double)RAND_MAX);
}
