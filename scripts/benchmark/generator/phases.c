/* The phases: see main.c. Each measures what the server used while it ran. */
#define _GNU_SOURCE
#include "generator.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WARM_UP 0.3     /* seconds of load before the measuring of TN begins */
#define TIMEOUT_SECONDS 120    /* seconds for a storm or an answer; then something is broken */
#define SETTLED 0.03    /* of a core: idle is less */
#define SETTLE_WINDOW 0.25
#define SETTLE_PATIENCE 20
#define WAVE_CHUNK 16   /* heartbeats of a wave between two looks at what came in */
#define WAVE_PAUSE 0.15 /* seconds of quiet between two waves */

/* A time, and the processor time of the server and of ourselves, in seconds. */
struct used {
    double at, server, own;
};

static struct used begin(void)
{
    return (struct used){.at = now(), .server = server_cpu(), .own = own_cpu()};
}

static struct used since(struct used start)
{
    struct used end = begin();
    end.at -= start.at;
    end.server -= start.server;
    end.own -= start.own;
    return end;
}

/* The part that all phases print alike; `more` is what a phase adds. */
static void report(const char *phase, struct used used, long operations, const char *more)
{
    printf("{\"phase\":\"%s\",\"seconds\":%.6f,\"cpu\":%.6f,\"own_cpu\":%.6f,", phase, used.at,
           used.server, used.own);
    printf("\"operations\":%ld,\"at\":%.6f%s}\n", operations, now(), more);
    fflush(stdout);
}

static void storm(void)
{
    struct used start = begin();
    int before = ready;
    while (ready < options.devices) {
        devices_connect();
        turn(options.reconnect ? 10 : 200);
        if (now() - start.at > TIMEOUT_SECONDS) {
            fprintf(stderr, "generator: %d of %d devices registered in time\n", ready, options.devices);
            exit(1);
        }
    }
    report("storm", since(start), ready - before, "");
}

static void memory(void)
{
    char more[64];
    snprintf(more, sizeof more, ",\"bytes\":%ld", server_memory());
    report("memory", (struct used){0}, ready, more);
}

static void quiet(void)
{
    struct used start = begin();
    while (now() - start.at < options.seconds)
        turn(50);
    report("pause", since(start), 0, "");
}

/* Until the server has done what a storm left it to do: until it needs next to nothing. */
static void settle(void)
{
    struct used start = begin(), window = start;
    do {
        window = begin();
        while (now() - window.at < SETTLE_WINDOW)
            turn(10);
        window = since(window);
    } while (window.server > SETTLED * window.at && now() - start.at < SETTLE_PATIENCE);
    report("settle", since(start), 0, "");
}

static void tn(void)
{
    int asked = options.inflight < options.devices ? options.inflight : options.devices;
    asking = true;
    for (int i = 0; i < asked; i++)
        device_ask(&devices[i]);
    for (double until = now() + WARM_UP; now() < until;)
        turn(10);
    struct used start = begin();
    long before = tn_answers;
    while (now() - start.at < options.seconds)
        turn(10);
    report("tn", since(start), tn_answers - before, "");
    asking = false;
    double until = now() + TIMEOUT_SECONDS;
    for (int i = 0; i < options.devices; i++)
        while (devices[i].busy && now() < until)
            turn(10);
}

/* Returns when the server has answered a question asked now, and so has read what came before. */
static void catch_up(void)
{
    int depth = options.depth;
    long before = tn_answers;
    options.depth = 1;
    device_ask(&devices[options.devices - 1]);
    options.depth = depth;
    for (double until = now() + TIMEOUT_SECONDS; tn_answers == before;) {
        turn(100);
        if (now() > until) {
            fprintf(stderr, "generator: no answer to a TN\n");
            exit(1);
        }
    }
}

static void heartbeats(void)
{
    catch_up();
    struct used start = begin();
    long sent = 0;
    /* Busy waiting: a sleep would bundle the heartbeats that are to come one by one. */
    for (double next = start.at; next < start.at + options.seconds;) {
        if (now() < next)
            continue;
        device_beat(sent++ % options.beating);
        next += exponential(options.rate);
    }
    catch_up();
    report("heartbeats", since(start), sent, "");
}

static void report_starts(const char *phase, struct used used)
{
    char more[160];
    long count = starts_answered;
    snprintf(more, sizeof more, ",\"p50\":%.7f,\"p99\":%.7f,\"worst\":%.7f",
             percentile(latencies, count, 0.5), percentile(latencies, count, 0.99),
             percentile(latencies, count, 1));
    report(phase, used, count, more);
}

static void wait_for_callers(void)
{
    double until = now() + TIMEOUT_SECONDS;
    for (int i = 0; i < options.callers; i++)
        while (caller_at(i)->busy && now() < until)
            turn(10);
}

static void starts(void)
{
    callers_open();
    struct used start = begin();
    long beats = 0;
    double next_beat = start.at;
    for (double at = start.at; at - start.at < options.seconds; at = now()) {
        callers_due(at);
        for (; options.rate > 0 && at >= next_beat; next_beat += exponential(options.rate))
            device_beat(beats++ % options.beating);
        turn(0);
    }
    report_starts("starts", since(start));
    wait_for_callers();
    callers_close();
}

static void waves(void)
{
    int callers = options.callers;
    options.callers = 1;
    callers_open();
    struct used start = begin();
    while (now() - start.at < options.seconds) {
        int start_after = random() % options.beating;
        for (int i = 0; i < options.beating; i++) {
            device_beat(i);
            if (i == start_after)
                caller_start(caller_at(0));
            if (i % WAVE_CHUNK == 0)
                turn(0);
        }
        wait_for_callers();
        catch_up();
        for (double until = now() + WAVE_PAUSE; now() < until;)
            turn(10);
    }
    report_starts("waves", since(start));
    callers_close();
    options.callers = callers;
}

static void wait_for_a_line(void)
{
    struct used start = begin();
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    bool all = true;
    char line[64];
    long beats = 0;
    double next_beat = start.at;
    while (poll(&input, 1, 0) == 0) {
        if (options.reconnect) {
            devices_connect();
            for (; now() >= next_beat; next_beat += exponential(options.rate))
                device_beat(beats++ % options.beating);
        }
        turn(1);
        if (all != (ready == options.devices)) {
            all = !all;
            report(all ? "back" : "lost", since(start), ready, "");
        }
    }
    if (read(STDIN_FILENO, line, sizeof line) < 0)
        fail("standard input");
    report("wait", since(start), ready, "");
}

void run_phase(const char *phase)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } phases[] = {
        {"storm", storm},   {"settle", settle},         {"memory", memory}, {"pause", quiet},
        {"tn", tn},         {"heartbeats", heartbeats}, {"starts", starts}, {"waves", waves},
        {"wait", wait_for_a_line},
    };
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        if (!strcmp(phases[i].name, phase)) {
            phases[i].run();
            return;
        }
    fprintf(stderr, "generator: no phase %s\n", phase);
    exit(2);
}
