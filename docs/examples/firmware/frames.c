/* Frames from the gateway, cut out of what TCP delivers. No memory is allocated.
 *
 * To try it:  cc -DTRY -o frames frames.c && printf 023200123456787654321HT | ./frames
 */
#include <stddef.h>
#include <string.h>

enum { MAX_FRAME = 999 };

struct frames {
    char bytes[MAX_FRAME];
    size_t size;
};

static int digits(const char *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (from[i] < '0' || from[i] > '9')
            return 0;
    return 1;
}

/* The length of the frame at the front: 0 while it is not whole, -1 if these bytes start none. */
static int front(const struct frames *f)
{
    if (f->size < 3)
        return 0;
    if (!digits(f->bytes, 3))
        return -1;
    size_t length = (size_t)(f->bytes[0] - '0') * 100 + (size_t)(f->bytes[1] - '0') * 10
                  + (size_t)(f->bytes[2] - '0');
    if (length != 6 && length < 23) /* 006404 is the one frame without an IMEI */
        return -1;
    return f->size < length ? 0 : (int)length;
}

/* Take one byte. Returns the length of a frame that is whole now, in f->bytes; else 0.
 * The caller looks at it, then calls frames_next(). */
int frames_take(struct frames *f, char byte)
{
    f->bytes[f->size++] = byte;
    int length;
    while ((length = front(f)) < 0) /* the gateway sends no such bytes: skip them anyway */
        memmove(f->bytes, f->bytes + 1, --f->size);
    return length;
}

void frames_next(struct frames *f)
{
    f->size = 0;
}

/* Write LEN STATUS IMEI COMMAND, 23 bytes, into `out`. */
void frame_write(char *out, const char *status, const char *imei, const char *command)
{
    memcpy(out, "023", 3);
    memcpy(out + 3, status, 3);
    memcpy(out + 6, imei, 15);
    memcpy(out + 21, command, 2);
}

#ifdef TRY
#include <stdio.h>

int main(void)
{
    struct frames f = {.size = 0};
    int byte, length;
    while ((byte = getchar()) != EOF)
        if ((length = frames_take(&f, (char)byte)) > 0) {
            printf("%.*s\n", length, f.bytes);
            frames_next(&f);
        }
    return 0;
}
#endif
