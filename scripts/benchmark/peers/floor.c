/* The floor: the same exchange as a bare epoll loop, which shows what the kernel costs.
 *
 * floor PORT SOCKET. One thread, level-triggered, one receive buffer for all. It keeps no promise:
 * no journal, no timeouts, no limits, and a start that meets no result is never answered.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_IMEI 860000000000000L
#define DEVICES 20000
#define SLOTS 65536 /* of the hash table; a power of two, and more than twice DEVICES */
#define HEADER 23
#define LONGEST 99  /* no device of the bench sends more */
#define EVENTS 512

enum kind { DEVICE, CALLER, DEVICE_DOOR, CALLER_DOOR };

struct link {
    enum kind kind;
    int fd;
    int device;    /* index of the device that registered here, or -1 */
    int held_size; /* bytes of an unfinished frame */
    char *held;
    uint32_t heard;
};

struct device {
    char imei[15];
    struct link *link;   /* where it is registered now */
    struct link *caller; /* who waits for its result */
};

static struct device devices[DEVICES];
static int slots[SLOTS]; /* device index + 1, or 0 */
static int epoll;
static uint32_t round_number;
static char input[65536], output[131072];

static uint32_t slot_of(const char *imei)
{
    uint64_t a, b;
    memcpy(&a, imei, 8);
    memcpy(&b, imei + 7, 8);
    a = (a ^ (b * 0x9E3779B97F4A7C15ull)) * 0xD6E8FEB86659FD93ull;
    return (a >> 32) & (SLOTS - 1);
}

static int find(const char *imei)
{
    for (uint32_t slot = slot_of(imei); slots[slot]; slot = (slot + 1) & (SLOTS - 1))
        if (!memcmp(devices[slots[slot] - 1].imei, imei, 15))
            return slots[slot] - 1;
    return -1;
}

static void know_devices(void)
{
    for (int i = 0; i < DEVICES; i++) {
        char imei[24];
        snprintf(imei, sizeof imei, "%015ld", FIRST_IMEI + i);
        memcpy(devices[i].imei, imei, 15);
        uint32_t slot = slot_of(imei);
        while (slots[slot])
            slot = (slot + 1) & (SLOTS - 1);
        slots[slot] = i + 1;
    }
}

static void add(int fd, enum kind kind)
{
    struct link *link = calloc(1, sizeof *link);
    link->fd = fd;
    link->kind = kind;
    link->device = -1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
    if (kind == DEVICE || kind == CALLER)
        event.events |= EPOLLRDHUP;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void drop(struct link *link)
{
    if (link->device >= 0 && devices[link->device].link == link)
        devices[link->device].link = NULL;
    if (link->kind == CALLER)
        for (int i = 0; i < DEVICES; i++)
            if (devices[i].caller == link)
                devices[i].caller = NULL;
    close(link->fd);
    free(link->held);
    free(link);
}

/* Tell the caller, if one waits, that its device confirmed. */
static void settle(struct device *device)
{
    if (!device->caller)
        return;
    char reply[128];
    int size = snprintf(reply, sizeof reply, "{\"status\":\"200\",\"imei\":\"%.15s\",\"type\":\"start\"}\n",
                        device->imei);
    send(device->caller->fd, reply, size, MSG_NOSIGNAL);
    device->caller = NULL;
}

/* Write the answer to `out`. Returns its size, or -1 if the link is of no use. */
static int answer(struct link *link, const char *frame, char *out)
{
    const char *command = frame + 21;
    if (command[0] == 'T' && command[1] == 'N' && link->device >= 0) {
        memcpy(out, "035200", 6);
        memcpy(out + 6, frame + 6, 17);
        memcpy(out + HEADER, "400-500-5620", 12);
        return 35;
    }
    if (command[0] == 'H' && command[1] == 'T') {
        int device = find(frame + 6);
        if (device < 0)
            return -1;
        link->device = device;
        devices[device].link = link;
    } else if (command[0] == 'Q' && command[1] == 'D' && link->device >= 0) {
        settle(&devices[link->device]);
    } else {
        return 0;
    }
    memcpy(out, "023200", 6);
    memcpy(out + 6, frame + 6, 17);
    return HEADER;
}

/* Obey one line of a caller: command{"imei":"...","type":"start","long":"..."} */
static void obey(struct link *caller, const char *line)
{
    const char *imei = strstr(line, "\"imei\":\""), *length = strstr(line, "\"long\":\"");
    int device = imei ? find(imei + 8) : -1;
    if (device < 0 || !length || !devices[device].link) {
        send(caller->fd, "{\"status\":\"404\"}\n", 17, MSG_NOSIGNAL);
        return;
    }
    char frame[40];
    int size = snprintf(frame, sizeof frame, "026000%.15sQD%03d", devices[device].imei, atoi(length + 8));
    devices[device].caller = caller;
    send(devices[device].link->fd, frame, size, MSG_NOSIGNAL);
}

/* Returns how many bytes of the input were whole lines. */
static int read_lines(struct link *caller, int size)
{
    int start = 0;
    char *end;
    while ((end = memchr(input + start, '\n', size - start))) {
        *end = 0;
        obey(caller, input + start);
        start = end - input + 1;
    }
    return start;
}

/* Returns how many bytes of the input were whole frames and heartbeats, or -1 for rubbish. */
static int read_frames(struct link *link, int size, int *answered)
{
    int start = 0;
    while (start < size) {
        const char *at = input + start;
        if (*at == '1') { /* a heartbeat */
            start++;
            continue;
        }
        if (size - start < 3)
            break;
        int frame = (at[0] - '0') * 100 + (at[1] - '0') * 10 + at[2] - '0';
        if (frame < HEADER || frame > LONGEST)
            return -1;
        if (size - start < frame)
            break;
        int written = answer(link, at, output + *answered);
        if (written < 0)
            return -1;
        *answered += written;
        start += frame;
    }
    return start;
}

static void hold(struct link *link, const char *rest, int size)
{
    if (size > 0) {
        link->held = realloc(link->held, size);
        memcpy(link->held, rest, size);
    } else if (link->held) {
        free(link->held);
        link->held = NULL;
    }
    link->held_size = size;
}

static void read_link(struct link *link)
{
    int held = link->held_size;
    if (held)
        memcpy(input, link->held, held);
    ssize_t received = recv(link->fd, input + held, sizeof input - held, 0);
    if (received < 0 && errno == EAGAIN)
        return;
    if (received <= 0) {
        drop(link);
        return;
    }
    link->heard = round_number;
    if (received == 1 && !held && input[0] == '1')
        return;
    int size = held + received, answered = 0;
    int used = link->kind == CALLER ? read_lines(link, size) : read_frames(link, size, &answered);
    if (used < 0) {
        drop(link);
        return;
    }
    hold(link, input + used, size - used);
    if (answered)
        send(link->fd, output, answered, MSG_NOSIGNAL);
}

static void accept_some(struct link *door)
{
    for (int i = 0; i < 256; i++) {
        int fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        add(fd, door->kind == DEVICE_DOOR ? DEVICE : CALLER);
    }
}

static void listen_at(int fd, struct sockaddr *address, socklen_t size, enum kind kind)
{
    if (bind(fd, address, size) || listen(fd, 4096)) {
        perror("floor: bind");
        exit(1);
    }
    add(fd, kind);
}

static void open_doors(int port, const char *path)
{
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited by what is accepted */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_at(tcp, (struct sockaddr *)&address, sizeof address, DEVICE_DOOR);

    int local = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    unlink(path);
    listen_at(local, (struct sockaddr *)&name, sizeof name, CALLER_DOOR);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: floor PORT SOCKET\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    know_devices();
    epoll = epoll_create1(0);
    open_doors(atoi(argv[1]), argv[2]);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, 1000);
        round_number++;
        for (int i = 0; i < count; i++) {
            struct link *link = events[i].data.ptr;
            if (link->kind == DEVICE || link->kind == CALLER)
                read_link(link);
            else
                accept_some(link);
        }
    }
}
