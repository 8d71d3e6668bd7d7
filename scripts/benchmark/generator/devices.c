/* The devices: connect, register, ask, beat, and do as a command says. */
#define _GNU_SOURCE
#include "generator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER 23
#define RETRY 0.01 /* seconds before a refused device knocks again */

struct link *devices;
int ready;
long tn_answers;
bool asking;

static int *absent, absent_count; /* devices without a connection, a stack */
static int prepared;
static int registering;
static double quiet_until;        /* nobody connects before */
static int next_to_ask;

void devices_prepare(int count)
{
    devices = calloc(count, sizeof *devices);
    absent = calloc(count, sizeof *absent);
    if (!devices || !absent)
        fail("calloc");
    for (int i = 0; i < count; i++) {
        devices[i] = (struct link){.kind = DEVICE, .fd = -1, .index = i};
        snprintf(devices[i].imei, sizeof devices[i].imei, "%015ld", FIRST_IMEI + options.first + i);
    }
}

void send_all(struct link *link, const char *bytes, int size)
{
    ssize_t sent = send(link->fd, bytes, size, MSG_NOSIGNAL);
    if (sent == size)
        return;
    /* Nothing here fills a socket's buffer, unless the server has stopped reading. */
    if (!options.reconnect) {
        fprintf(stderr, "generator: %zd of %d bytes sent to the server: %s\n", sent, size,
                sent < 0 ? strerror(errno) : "its buffer is full");
        exit(1);
    }
}

static void connect_device(struct link *device)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    if (fd < 0)
        fail("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    /* Closing resets: no thousands of ports in TIME_WAIT behind every run. */
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    struct sockaddr_in own = {.sin_family = AF_INET}, server = {.sin_family = AF_INET};
    own.sin_addr.s_addr = htonl(ntohl(inet_addr(options.source)) + device->index / DEVICES_PER_ADDRESS);
    if (bind(fd, (struct sockaddr *)&own, sizeof own))
        fail("bind");
    server.sin_addr.s_addr = inet_addr(options.target);
    server.sin_port = htons(options.port);
    device->fd = fd;
    device->state = CONNECTING;
    device->used = device->busy = 0;
    if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        fail("connect");
    watch(device, EPOLLIN | EPOLLOUT | EPOLLET);
    registering++;
}

void devices_connect(void)
{
    while (prepared < options.devices)
        absent[absent_count++] = prepared++;
    if (absent_count == 0 || now() < quiet_until)
        return;
    while (absent_count > 0 && registering < options.window)
        connect_device(&devices[absent[--absent_count]]);
}

static void lose(struct link *device, int error)
{
    if (!options.reconnect) {
        fprintf(stderr, "generator: device %s lost its connection: %s\n", device->imei,
                error ? strerror(error) : "closed by the server");
        exit(1);
    }
    if (device->state == READY)
        ready--;
    else
        registering--;
    if (device->state == CONNECTING)
        quiet_until = now() + RETRY;
    close(device->fd);
    device->fd = -1;
    device->state = UNUSED;
    absent[absent_count++] = device->index;
}

void device_ask(struct link *device)
{
    char frames[HEADER * MAX_DEPTH + 1];
    for (int i = 0; i < options.depth; i++)
        snprintf(frames + HEADER * i, HEADER + 1, "023000%sTN", device->imei);
    device->busy = options.depth;
    send_all(device, frames, HEADER * options.depth);
}

void device_beat(int index)
{
    if (devices[index].state == READY)
        send_all(&devices[index], "1", 1);
}

/* The next device in the round asks: the one that was answered if all ask at once. */
static void next_asks(struct link *answered)
{
    if (options.inflight >= options.devices) {
        device_ask(answered);
        return;
    }
    do
        next_to_ask = (next_to_ask + 1) % options.devices;
    while (devices[next_to_ask].busy);
    device_ask(&devices[next_to_ask]);
}

static void unexpected(struct link *device, const char *frame, int size)
{
    fprintf(stderr, "generator: device %s did not expect %.*s\n", device->imei, size, frame);
    exit(1);
}

static void receive(struct link *device, const char *frame, int size)
{
    char answer[HEADER + 1];
    const char *status = frame + 3, *imei = frame + 6, *command = frame + 21;
    if (size < HEADER || memcmp(imei, device->imei, 15))
        unexpected(device, frame, size);
    bool good = !memcmp(status, "200", 3);
    if (!memcmp(command, "HT", 2) && good && device->state == REGISTERING) {
        device->state = READY;
        ready++;
        registering--;
    } else if (!memcmp(command, "TN", 2) && good && size == 35) {
        tn_answers++;
        if (--device->busy == 0 && asking)
            next_asks(device);
    } else if (!memcmp(command, "QD", 2) && !memcmp(status, "000", 3)) {
        snprintf(answer, sizeof answer, "023200%sQD", device->imei);
        send_all(device, answer, HEADER);
    } else if (memcmp(command, "QD", 2) || !good) { /* QD 200: our result is acknowledged */
        unexpected(device, frame, size);
    }
}

static void cut_frames(struct link *device)
{
    int start = 0;
    while (device->used - start >= 3) {
        const char *at = device->buffer + start;
        int size = (at[0] - '0') * 100 + (at[1] - '0') * 10 + at[2] - '0';
        if (size < 6 || size > 999)
            unexpected(device, at, device->used - start);
        if (device->used - start < size)
            break;
        receive(device, at, size);
        start += size;
    }
    device->used -= start;
    memmove(device->buffer, device->buffer + start, device->used);
}

static void read_device(struct link *device)
{
    for (;;) {
        int room = sizeof device->buffer - device->used;
        ssize_t size = recv(device->fd, device->buffer + device->used, room, 0);
        if (size <= 0) {
            if (size < 0 && errno == EAGAIN)
                return;
            lose(device, size < 0 ? errno : 0);
            return;
        }
        device->used += size;
        cut_frames(device);
        if (size < room) /* a short read of a stream: a new edge will tell */
            return;
    }
}

void device_event(struct link *device, unsigned events)
{
    if (device->fd < 0)
        return;
    if (device->state == CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(device->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            lose(device, error);
            return;
        }
        char frame[HEADER + 1];
        snprintf(frame, sizeof frame, "023000%sHT", device->imei);
        device->state = REGISTERING;
        send_all(device, frame, HEADER);
    } else if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        read_device(device);
    }
}
