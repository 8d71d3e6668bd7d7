/* Simulated devices and callers on one epoll: the load that scripts/bench puts on a server.
 *
 * In C, so that it is never what limits the figure. It only counts and measures; dividing and
 * judging is left to the driver in Python. See main.c for what it can be told to do.
 */
#ifndef GENERATOR_H
#define GENERATOR_H

#include <stdbool.h>
#include <stddef.h>

#define FIRST_IMEI 860000000000000L
#define DEVICES_PER_ADDRESS 5000 /* one source address has some 28,000 ports; stay far below */
#define MAX_CALLERS 64
#define MAX_DEPTH 32

enum kind { DEVICE, CALLER };
enum state { UNUSED, CONNECTING, REGISTERING, READY };

struct link {
    enum kind kind;
    enum state state;
    int fd;
    int index;          /* a device's number, or a caller's */
    int busy;           /* questions without an answer yet */
    double asked_at;    /* when the caller's start went out */
    double next_at;     /* when the caller sends its next one */
    double missed_at;   /* when its start was first answered 404; 0: it was not */
    int used;           /* bytes in buffer */
    char imei[16];
    char buffer[1024];
};

/* What `key=value` words set. A phase runs with what was said before it. */
struct options {
    const char *target;  /* the server's address */
    const char *source;  /* the first of our own addresses, 127.x.y.z */
    const char *control; /* the server's Unix socket */
    const char *pids;    /* the server's processes, separated by commas */
    int port;
    int first;           /* number of the first device: IMEI = FIRST_IMEI + first + index */
    int devices;
    int window;          /* registrations under way at once */
    int inflight;        /* devices that ask TN at once */
    int depth;           /* TN frames in one write */
    int beating;         /* devices that send heartbeats */
    int callers;
    double think;        /* seconds between one caller's starts, on average; 0: at once */
    double rate;         /* heartbeats a second */
    double seconds;
    double again;        /* seconds for which a start that is answered 404 is asked again */
    bool reconnect;      /* a lost device comes back; otherwise it is an error */
};

extern struct options options;
extern struct link *devices;
extern int ready;         /* registered devices */
extern long tn_answers;
extern bool asking;       /* answered devices make the next one ask */

/* main.c */
void fail(const char *what) __attribute__((noreturn));
void turn(int timeout_ms); /* one round of epoll */
void watch(struct link *link, unsigned events);

/* phases.c */
void run_phase(const char *name);

/* devices.c */
void devices_prepare(int count);
void devices_connect(void); /* keep the window of registrations full */
void device_event(struct link *device, unsigned events);
void device_ask(struct link *device);
void device_beat(int index);
void send_all(struct link *link, const char *bytes, int size);

/* callers.c */
extern long starts_answered;
extern double *latencies; /* seconds, of the starts answered since callers_open() */
void callers_open(void);
void callers_close(void);
void caller_start(struct link *caller);
void callers_due(double now); /* send what is due */
void caller_event(struct link *caller);
struct link *caller_at(int index);

/* account.c */
double now(void);           /* CLOCK_MONOTONIC, seconds */
double exponential(double rate);
double server_cpu(void);    /* seconds on a processor, all threads, user and system */
double own_cpu(void);
long server_memory(void);   /* bytes: Pss of all the server's processes */
double percentile(double *values, long count, double part); /* sorts */

#endif
