/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of layers.
 *
 * On a terminal the bars of the layers at work are the last lines; a finished layer's line is
 * printed above them and scrolls away. So any number of layers fits any terminal. Bars are drawn
 * by the thread that reports, at most ten times a second. */
#include "tools/progress.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "tools/output.h"

enum { REDRAW_MS = 100, BAR_MAX = 40 };

struct item {
    char name[PROGRESS_NAME_MAX]; /* "pull layer 5f70bf18a086" */
    uint64_t done, total, begun_ms, shown_ms;
    bool active;
};

struct progress {
    struct lfs_progress callbacks;
    const char *verb;
    bool quiet, terminal, json;
    pthread_mutex_t lock; /* protects everything below, and what is on the screen */
    struct item *items;
    size_t count;
    unsigned drawn; /* bars that are on the screen, above the cursor */
    uint64_t drawn_ms;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void screen_size(unsigned *ret_rows, unsigned *ret_columns)
{
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;

    *ret_rows = known ? size.ws_row : 24;
    *ret_columns = known ? size.ws_col : 80;
}

/* " 25.3 MiB/s ETA 0:01". */
static void format_rate(
    uint64_t done, uint64_t total, uint64_t elapsed_ms, char *text, size_t text_size)
{
    char size[SIZE_TEXT_MAX];
    uint64_t rate = elapsed_ms ? done * 1000 / elapsed_ms : 0;
    uint64_t eta;

    text[0] = '\0';
    if (!rate)
        return;
    if (total == UINT64_MAX || total < done) {
        (void)snprintf(text, text_size, " %s/s", format_size(rate, size));
        return;
    }
    eta = MIN((total - done) / rate, (uint64_t)359999);
    (void)snprintf(text, text_size, " %s/s ETA %u:%02u", format_size(rate, size),
        (unsigned)(eta / 60), (unsigned)(eta % 60));
}

static void format_gauge(uint64_t done, uint64_t total, unsigned cells, char *gauge)
{
    double part = total ? (double)MIN(done, total) / (double)total : 1;
    unsigned full = (unsigned)(part * cells);

    for (unsigned i = 0; i < cells; i++)
        gauge[i] = i < full ? '=' : i == full ? '>' : ' ';
    gauge[cells] = '\0';
}

const char *progress_format_bar(const char *name, uint64_t done, uint64_t total,
    uint64_t elapsed_ms, unsigned width, char line[static PROGRESS_LINE_MAX])
{
    char sizes[2][SIZE_TEXT_MAX], rate[64], amount[64], gauge[BAR_MAX + 1];
    bool known = total != UINT64_MAX;
    unsigned cells, fixed;

    format_rate(done, total, elapsed_ms, rate, sizeof(rate));
    (void)snprintf(amount, sizeof(amount), known ? "%s / %s" : "%s", format_size(done, sizes[0]),
        format_size(known ? total : 0, sizes[1]));
    fixed = (unsigned)(strlen(name) + strlen(amount) + strlen(rate) + 4);
    cells = known && width > fixed + 8 ? MIN(width - fixed - 1, (unsigned)BAR_MAX) : 0;
    format_gauge(done, total, cells, gauge);
    if (cells)
        (void)snprintf(line, PROGRESS_LINE_MAX, "%s [%s] %s%s", name, gauge, amount, rate);
    else
        (void)snprintf(line, PROGRESS_LINE_MAX, "%s %s%s", name, amount, rate);
    if (width < PROGRESS_LINE_MAX)
        line[width] = '\0';
    return line;
}

static void clear_bars(struct progress *p)
{
    if (p->drawn)
        (void)fprintf(stderr, "\033[%uA\r\033[J", p->drawn);
    p->drawn = 0;
}

static void draw_bars(struct progress *p)
{
    unsigned rows, columns;
    uint64_t now = now_ms();

    screen_size(&rows, &columns);
    for (size_t i = 0; i < p->count && p->drawn + 1 < rows; i++) {
        const struct item *item = &p->items[i];
        char line[PROGRESS_LINE_MAX];

        if (!item->active)
            continue;
        (void)fprintf(stderr, "%s\033[K\n",
            progress_format_bar(
                item->name, item->done, item->total, now - item->begun_ms, columns - 1, line));
        p->drawn++;
    }
    p->drawn_ms = now;
}

static void redraw(struct progress *p)
{
    if (!p->terminal || now_ms() - p->drawn_ms < REDRAW_MS)
        return;
    clear_bars(p);
    draw_bars(p);
    (void)fflush(stderr);
}

/* The line that stays. */
static void print_result(struct progress *p, const struct item *item, bool exists)
{
    char size[SIZE_TEXT_MAX];
    double seconds = (double)(now_ms() - item->begun_ms) / 1000;

    if (p->terminal)
        clear_bars(p);
    if (exists)
        (void)fprintf(stderr, "%s: already there\n", item->name);
    else
        (void)fprintf(
            stderr, "%s: %s in %.1f s\n", item->name, format_size(item->done, size), seconds);
    if (p->terminal)
        draw_bars(p);
    (void)fflush(stderr);
}

static struct item *find_item(struct progress *p, const char *name)
{
    struct item *items;

    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->items[i].name, name) == 0)
            return &p->items[i];
    items = reallocarray(p->items, p->count + 1, sizeof(struct item));
    if (!items)
        return NULL; /* no bar for this one */
    p->items = items;
    items[p->count] = (struct item){.total = UINT64_MAX, .begun_ms = now_ms()};
    (void)snprintf(items[p->count].name, PROGRESS_NAME_MAX, "%s", name);
    return &items[p->count++];
}

static void print_event(
    struct item *item, enum lfs_progress_kind kind, const char *name, uint64_t done, uint64_t total)
{
    static const char *const events[] = {
        [LFS_PROGRESS_BEGIN] = "begin",
        [LFS_PROGRESS_BYTES] = "bytes",
        [LFS_PROGRESS_DONE] = "done",
        [LFS_PROGRESS_EXISTS] = "exists",
    };
    uint64_t now = now_ms();
    json_t *json;
    char *text;

    if (kind == LFS_PROGRESS_BYTES && now - item->shown_ms < REDRAW_MS)
        return;
    item->shown_ms = now;
    json = json_pack("{s:s, s:s, s:I}", "event", events[kind], "name", name, "done",
        (json_int_t)(kind == LFS_PROGRESS_EXISTS ? 0 : done));
    if (json && total != UINT64_MAX)
        (void)json_object_set_new(json, "total", json_integer((json_int_t)total));
    text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (text)
        (void)fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(json);
}

static void apply(struct progress *p, struct item *item, enum lfs_progress_kind kind, uint64_t done,
    uint64_t total)
{
    switch (kind) {
    case LFS_PROGRESS_BEGIN:
        item->begun_ms = now_ms();
        item->total = total;
        item->done = 0;
        item->active = true;
        break;
    case LFS_PROGRESS_BYTES:
        item->done = done;
        break;
    case LFS_PROGRESS_DONE:
        item->active = false;
        item->done = item->total != UINT64_MAX ? item->total : item->done;
        print_result(p, item, false);
        break;
    case LFS_PROGRESS_EXISTS:
        item->active = false;
        print_result(p, item, true);
        break;
    }
}

void progress_show(struct progress *p, enum lfs_progress_kind kind, const char *name, uint64_t done,
    uint64_t total)
{
    char full[PROGRESS_NAME_MAX];
    struct item *item;

    if (p->quiet)
        return;
    (void)snprintf(full, sizeof(full), "%s %s", p->verb, name);
    pthread_mutex_lock(&p->lock);
    item = find_item(p, full);
    if (item && p->json) {
        print_event(item, kind, name, done, total);
    } else if (item) {
        apply(p, item, kind, done, total);
        redraw(p);
    }
    pthread_mutex_unlock(&p->lock);
}

static void update(void *userdata, enum lfs_progress_kind kind, const struct oci_digest *blob,
    uint64_t done, uint64_t total)
{
    char name[PROGRESS_NAME_MAX], hex[13];

    (void)snprintf(name, sizeof(name), "layer %s", format_digest_short(blob, hex));
    progress_show(userdata, kind, name, done, total);
}

int progress_new(const char *verb, bool quiet, struct progress **ret_progress)
{
    struct progress *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    p->verb = verb;
    p->quiet = quiet;
    p->terminal = isatty(STDERR_FILENO) == 1;
    p->callbacks = (struct lfs_progress){.update = update, .userdata = p};
    (void)pthread_mutex_init(&p->lock, NULL);
    *ret_progress = p;
    return 0;
}

void progress_set_json(struct progress *p)
{
    p->json = true;
    p->terminal = false;
}

const struct lfs_progress *progress_callbacks(struct progress *p)
{
    return &p->callbacks;
}

struct progress *progress_free(struct progress *p)
{
    if (!p)
        return NULL;
    clear_bars(p);
    (void)fflush(stderr);
    (void)pthread_mutex_destroy(&p->lock);
    free(p->items);
    free(p);
    return NULL;
}
