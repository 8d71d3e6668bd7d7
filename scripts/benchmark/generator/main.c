/* generator [key=value | PHASE]...
 *
 * Words are obeyed from left to right: `key=value` sets an option (struct options), a PHASE runs
 * with the options as they stand and prints one JSON object on a line of its own. The phases:
 *
 *   storm       register all devices that are not registered yet
 *   settle      until the server is idle; what it still had to do after a storm
 *   memory      the server's memory now
 *   pause       keep quiet for `seconds`; what the server used meanwhile
 *   tn          `inflight` devices ask TN in a closed loop, `depth` frames in a write
 *   heartbeats  `beating` devices send heartbeats at random times, `rate` a second in all
 *   starts      `callers` send starts, under that same load of heartbeats. One that is answered 404
 *               is asked again for `again` seconds: another node may not know of the device yet
 *   waves       all `beating` devices send a heartbeat at once, and a start comes amid them
 *   wait        until a line arrives on standard input. With reconnect=1 the devices beat as in
 *               `starts`, and it tells when some were `lost` and when all are `back`
 *
 *   generator port=7000 control=run/s pids=42 devices=100 storm inflight=100 tn
 */
#define _GNU_SOURCE
#include "generator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define EVENTS 512

struct options options = {
    .target = "127.0.0.1", .source = "127.0.0.2", .control = "", .pids = "",
    .devices = 1000, .window = 1024, .inflight = 1000, .depth = 1, .beating = 10000,
    .callers = 1, .think = 0, .rate = 18000, .seconds = 3,
};

static int epoll;
static int capacity; /* the most devices that any phase will have */

void fail(const char *what)
{
    fprintf(stderr, "generator: ");
    perror(what);
    exit(1);
}

void watch(struct link *link, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = link};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, link->fd, &event))
        fail("epoll_ctl");
}

void turn(int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct link *link = events[i].data.ptr;
        if (link->kind == DEVICE)
            device_event(link, events[i].events);
        else
            caller_event(link);
    }
}

static void set(const char *key, const char *value)
{
    double number = atof(value);
    if (!strcmp(key, "target")) options.target = value;
    else if (!strcmp(key, "source")) options.source = value;
    else if (!strcmp(key, "control")) options.control = value;
    else if (!strcmp(key, "pids")) options.pids = value;
    else if (!strcmp(key, "port")) options.port = number;
    else if (!strcmp(key, "first")) options.first = number;
    else if (!strcmp(key, "devices")) options.devices = number;
    else if (!strcmp(key, "window")) options.window = number;
    else if (!strcmp(key, "inflight")) options.inflight = number;
    else if (!strcmp(key, "depth")) options.depth = number < MAX_DEPTH ? number : MAX_DEPTH;
    else if (!strcmp(key, "beating")) options.beating = number;
    else if (!strcmp(key, "callers")) options.callers = number < MAX_CALLERS ? number : MAX_CALLERS;
    else if (!strcmp(key, "think")) options.think = number;
    else if (!strcmp(key, "rate")) options.rate = number;
    else if (!strcmp(key, "seconds")) options.seconds = number;
    else if (!strcmp(key, "again")) options.again = number;
    else if (!strcmp(key, "reconnect")) options.reconnect = number;
    else {
        fprintf(stderr, "generator: no option %s\n", key);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "devices=", 8) && atoi(argv[i] + 8) > capacity)
            capacity = atoi(argv[i] + 8);
        if (!strncmp(argv[i], "first=", 6))
            options.first = atoi(argv[i] + 6);
    }
    devices_prepare(capacity ? capacity : options.devices);
    epoll = epoll_create1(0);
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals) {
            run_phase(argv[i]);
            continue;
        }
        *equals = 0;
        set(argv[i], equals + 1);
    }
    return 0;
}
