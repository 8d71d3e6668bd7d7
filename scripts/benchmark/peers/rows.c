/* What the rows cost in C: those of starts, and those of registrations, as devgate writes them.
 *
 * rows DATABASE starts SECONDS GROUP          two commits for GROUP starts: sent, and ended
 * rows DATABASE registrations COUNT GROUP     one commit for GROUP registrations
 *
 * The database is one that devgate has made. There are no devices, no callers and no thread to
 * hand rows to: what is left is SQLite, with the same tables, columns, indexes and promises.
 * Prints one JSON object: operations, seconds on the wall, seconds of CPU.
 */
#define _GNU_SOURCE
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FIRST_IMEI 860000000000000L
#define DEVICES 15000
#define LONGEST_GROUP 1024
#define LONG 900 /* seconds that a start asks for */

/* A start between its two commits. */
struct start {
    char id[27], imei[24], key[48];
    double sent_at;
};

static sqlite3 *db;
static sqlite3_stmt *insert_command, *insert_event, *upsert_presence;
static sqlite3_int64 event_number, sequence;
static double newest; /* time of the newest event */
static struct start starts[LONGEST_GROUP];

static void check(int result)
{
    if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE)
        return;
    fprintf(stderr, "rows: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static void execute(const char *sql)
{
    check(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *statement;
    check(sqlite3_prepare_v2(db, sql, -1, &statement, NULL));
    return statement;
}

static void step(sqlite3_stmt *statement)
{
    check(sqlite3_step(statement));
    check(sqlite3_reset(statement));
}

static void text(sqlite3_stmt *statement, int column, const char *value)
{
    check(sqlite3_bind_text(statement, column, value, -1, SQLITE_STATIC)); /* NULL is NULL */
}

static double clock_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double wall(void)
{
    return clock_of(CLOCK_REALTIME);
}

/* A ULID: ten digits of milliseconds, sixteen of chance. */
static void make_id(char *id)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned long long milliseconds = wall() * 1000;
    for (int i = 9; i >= 0; i--, milliseconds >>= 5)
        id[i] = digits[milliseconds & 31];
    for (int i = 10; i < 26; i++)
        id[i] = digits[random() & 31];
    id[26] = 0;
}

static void write_command(struct start *start, bool ended, double now)
{
    sqlite3_stmt *s = insert_command;
    text(s, 1, start->id);
    text(s, 2, start->imei);
    sqlite3_bind_int(s, 3, LONG);
    text(s, 4, start->key);
    text(s, 5, start->key);
    text(s, 6, ended ? "200" : "000");
    text(s, 7, ended ? "ended" : "sent");
    text(s, 8, ended ? "started" : "accepted");
    sqlite3_bind_double(s, 9, start->sent_at);
    sqlite3_bind_double(s, 10, start->sent_at);
    if (ended)
        sqlite3_bind_double(s, 11, now);
    else
        sqlite3_bind_null(s, 11);
    sqlite3_bind_int64(s, 12, sequence);
    step(s);
}

static void write_event(const char *type, const char *imei, const char *command, const char *detail)
{
    double now = wall();
    newest = now > newest ? now : newest;
    sqlite3_bind_double(insert_event, 1, newest);
    text(insert_event, 2, type);
    text(insert_event, 3, imei);
    text(insert_event, 4, command);
    text(insert_event, 5, detail);
    sqlite3_bind_int64(insert_event, 6, ++event_number);
    sqlite3_bind_int(insert_event, 7, command == NULL);
    step(insert_event);
}

static void write_starts(int group, long before)
{
    char detail[128];
    execute("BEGIN IMMEDIATE");
    for (int i = 0; i < group; i++) {
        struct start *start = &starts[i];
        make_id(start->id);
        snprintf(start->imei, sizeof start->imei, "%ld", FIRST_IMEI + random() % DEVICES);
        snprintf(start->key, sizeof start->key, "rows-%x-%ld", getpid(), before + i);
        start->sent_at = wall();
        sequence++;
        write_command(start, false, 0);
        snprintf(detail, sizeof detail,
                 "{\"kind\":\"start\",\"long\":%d,\"key\":\"%s\",\"source\":\"socket\"}", LONG, start->key);
        write_event("command.accepted", start->imei, start->id, detail);
        write_event("command.sent", start->imei, start->id, "{\"kind\":\"start\",\"long\":900}");
    }
    execute("COMMIT");
    execute("BEGIN IMMEDIATE");
    for (int i = 0; i < group; i++) {
        struct start *start = &starts[i];
        double now = wall();
        write_command(start, true, now);
        write_event("command.ended", start->imei, start->id,
                    "{\"kind\":\"start\",\"long\":900,\"status\":\"200\",\"message\":\"started\"}");
        text(upsert_presence, 1, start->imei);
        sqlite3_bind_double(upsert_presence, 2, now + LONG);
        step(upsert_presence);
    }
    execute("COMMIT");
}

static void write_registrations(int group, long before)
{
    char imei[24], address[32], detail[128];
    execute("BEGIN IMMEDIATE");
    for (int i = 0; i < group; i++) {
        long connection = 1764000000000L + before + i;
        snprintf(imei, sizeof imei, "%ld", FIRST_IMEI + before + i);
        snprintf(address, sizeof address, "127.0.0.2:%ld", 20000 + (before + i) % 40000);
        snprintf(detail, sizeof detail, "{\"address\":\"%s\",\"connection\":%ld}", address, connection);
        write_event("device.online", imei, NULL, detail);
        text(upsert_presence, 1, imei);
        sqlite3_bind_double(upsert_presence, 2, newest);
        sqlite3_bind_double(upsert_presence, 3, newest);
        text(upsert_presence, 4, address);
        sqlite3_bind_int64(upsert_presence, 5, connection);
        step(upsert_presence);
    }
    execute("COMMIT");
}

static void open_database(const char *path, bool registrations)
{
    check(sqlite3_open(path, &db));
    execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
    /* What a second write of a command replaces: what has changed meanwhile. */
    insert_command = prepare(
        "INSERT INTO command (id, imei, type, long, key, spent, status, state, message, late, source,"
        " accepted_at, sent_at, ended_at, running, sequence, ambiguous)"
        " VALUES (?1, ?2, 'start', ?3, ?4, ?5, ?6, ?7, ?8, 0, 'socket', ?9, ?10, ?11, 0, ?12, 0)"
        " ON CONFLICT (id) DO UPDATE SET status = excluded.status, state = excluded.state,"
        " message = excluded.message, ended_at = excluded.ended_at");
    insert_event = prepare("INSERT INTO event (at, type, imei, command, detail, n, by_device)"
                           " VALUES (?, ?, ?, ?, ?, ?, ?)");
    upsert_presence = prepare(
        registrations
            ? "INSERT INTO presence (imei, online, since, heard, address, generation)"
              " VALUES (?, 1, ?, ?, ?, ?) ON CONFLICT (imei) DO UPDATE SET online = excluded.online,"
              " since = excluded.since, heard = excluded.heard, address = excluded.address,"
              " generation = excluded.generation"
            : "INSERT INTO presence (imei, running_until) VALUES (?, ?)"
              " ON CONFLICT (imei) DO UPDATE SET running_until = excluded.running_until");
    sqlite3_stmt *last = prepare("SELECT n, at FROM event ORDER BY n DESC LIMIT 1");
    if (sqlite3_step(last) == SQLITE_ROW) {
        event_number = sqlite3_column_int64(last, 0);
        newest = sqlite3_column_double(last, 1);
    }
    check(sqlite3_finalize(last));
}

int main(int argc, char **argv)
{
    bool registrations = argc == 5 && !strcmp(argv[2], "registrations");
    int group = argc == 5 ? atoi(argv[4]) : 0;
    if (argc != 5 || (!registrations && strcmp(argv[2], "starts")) || group < 1 || group > LONGEST_GROUP) {
        fprintf(stderr, "usage: rows DATABASE starts SECONDS GROUP\n"
                        "       rows DATABASE registrations COUNT GROUP\n");
        return 2;
    }
    double limit = atof(argv[3]);
    open_database(argv[1], registrations);
    srandom(getpid());
    double began = clock_of(CLOCK_MONOTONIC), cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    long written = 0;
    if (registrations)
        for (long left; (left = (long)limit - written) > 0; written += left < group ? left : group)
            write_registrations(left < group ? left : group, written);
    else
        for (; clock_of(CLOCK_MONOTONIC) - began < limit; written += group)
            write_starts(group, written);
    printf("{\"operations\": %ld, \"seconds\": %.6f, \"cpu\": %.6f}\n", written,
           clock_of(CLOCK_MONOTONIC) - began, clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    return 0;
}
