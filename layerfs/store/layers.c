/* SPDX-License-Identifier: Apache-2.0 */
/* All layers of an image into the store.
 *
 * Work goes in rounds: threads ingest what they can get the lock of, largest layers first; at the
 * end of a round what is staged is published together and its locks are given back. Layers that
 * another process holds wait for the next round. Nobody waits for a lock while holding one, so that
 * two processes that take the same layers in different order cannot block each other. */
#include "layerfs/store/layers.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

enum {
    JOBS_MAX = 4,        /* by default; more only split the memory and the disk */
    ROUND_LAYERS = 64,   /* staged at a time: each holds four open files */
    THREADS_LIMIT = 256, /* of --jobs */
};

enum job_state { JOB_PENDING, JOB_TAKEN, JOB_STAGED, JOB_DONE };

struct job {
    const struct oci_descriptor *blob;
    const struct oci_digest *diff_id;
    enum job_state state;
    struct lfs_staged_layer *staged;
};

struct run {
    struct lfs_store *store;
    const struct lfs_layers_input *input;
    const struct lfs_ingest_options *options;
    size_t job_count;
    atomic_bool cancelled;
    pthread_mutex_t lock; /* protects what follows, and the state of jobs while threads run */
    size_t next;          /* first job that was not looked at in this round */
    size_t taken;         /* jobs in this round */
    int err;              /* the first failure */
    struct report report; /* its text */
    struct job jobs[];
};

static struct run *run_free(struct run *run)
{
    for (size_t i = 0; i < run->job_count; i++)
        (void)lfs_staged_layer_free(run->jobs[i].staged);
    (void)pthread_mutex_destroy(&run->lock);
    free(run);
    return NULL;
}
DEFINE_CLEANUP(struct run *, run_free)

static int compare_size(const void *a, const void *b)
{
    const struct job *x = a, *y = b;

    return (x->blob->size < y->blob->size) - (x->blob->size > y->blob->size);
}

/* A layer that occurs twice is one job. */
static bool is_known(const struct run *run, const struct job *job)
{
    for (size_t i = 0; i < run->job_count; i++)
        if (oci_digest_equal(&run->jobs[i].blob->digest, &job->blob->digest) &&
            oci_digest_equal(run->jobs[i].diff_id, job->diff_id))
            return true;
    return false;
}

static int run_new(struct lfs_store *store, const struct lfs_layers_input *input,
    const struct lfs_ingest_options *options, struct run **ret_run)
{
    size_t count = input->manifest->layer_count;
    struct run *run = calloc(1, sizeof(*run) + count * sizeof(run->jobs[0]));
    int err;

    if (!run)
        return -ENOMEM;
    run->store = store;
    run->input = input;
    run->options = options;
    err = -pthread_mutex_init(&run->lock, NULL);
    if (err < 0) {
        free(run);
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        struct job job = {
            .blob = &input->manifest->layers[i],
            .diff_id = &input->config->diff_ids[i],
        };

        if (!is_known(run, &job))
            run->jobs[run->job_count++] = job;
    }
    qsort(run->jobs, run->job_count, sizeof(run->jobs[0]), compare_size);
    *ret_run = run;
    return 0;
}

/* ------------------------------------------------------------------------------------------------
 * One round
 */

static struct job *take_job(struct run *run)
{
    struct job *job = NULL;

    pthread_mutex_lock(&run->lock);
    while (run->next < run->job_count && run->jobs[run->next].state != JOB_PENDING)
        run->next++;
    if (run->err == 0 && run->next < run->job_count && run->taken < ROUND_LAYERS) {
        job = &run->jobs[run->next++];
        job->state = JOB_TAKEN;
        run->taken++;
    }
    pthread_mutex_unlock(&run->lock);
    return job;
}

static void end_job(struct run *run, struct job *job, int result, const struct report *r)
{
    pthread_mutex_lock(&run->lock);
    if (result == LFS_INGEST_STAGED)
        job->state = JOB_STAGED;
    else
        job->state = result == LFS_INGEST_EXISTS ? JOB_DONE : JOB_PENDING;
    if (result < 0 && run->err == 0) {
        run->err = result;
        run->report = *r;
        atomic_store(&run->cancelled, true);
    }
    pthread_mutex_unlock(&run->lock);
}

static void show_exists(struct run *run, const struct job *job)
{
    const struct lfs_progress *progress = run->options ? run->options->progress : NULL;

    if (progress)
        progress->update(
            progress->userdata, LFS_PROGRESS_EXISTS, &job->blob->digest, 0, job->blob->size);
}

static void *run_jobs(void *userdata)
{
    struct run *run = userdata;

    for (struct job *job = take_job(run); job; job = take_job(run)) {
        struct report r = REPORT_INIT;
        struct lfs_layer_input input = {
            .blob = job->blob,
            .diff_id = job->diff_id,
            .store_blob = run->input->store_blobs,
            .open = run->input->open,
            .open_at = run->input->open_at,
            .userdata = run->input->userdata,
            .cancelled = &run->cancelled,
        };
        int result = lfs_ingest_layer(run->store, &input, run->options, &job->staged, &r);

        if (result == LFS_INGEST_EXISTS)
            show_exists(run, job);
        end_job(run, job, result, &r);
    }
    return NULL;
}

static size_t count_state(const struct run *run, enum job_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < run->job_count; i++)
        count += run->jobs[i].state == state;
    return count;
}

static unsigned thread_count(const struct run *run, size_t pending)
{
    unsigned jobs = run->options ? run->options->jobs : 0;
    cpu_set_t cpus;

    if (jobs == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
        jobs = MIN((unsigned)CPU_COUNT(&cpus), (unsigned)JOBS_MAX);
    jobs = MIN(MAX(jobs, 1u), (unsigned)THREADS_LIMIT);
    return (unsigned)MIN(jobs, pending);
}

/* The calling thread is one of the workers; where no more threads can be had it does all. */
static void run_round(struct run *run, unsigned threads)
{
    pthread_t others[THREADS_LIMIT];
    unsigned started = 0;

    run->next = run->taken = 0;
    while (started + 1 < threads && pthread_create(&others[started], NULL, run_jobs, run) == 0)
        started++;
    (void)run_jobs(run);
    while (started > 0)
        (void)pthread_join(others[--started], NULL);
}

/* ------------------------------------------------------------------------------------------------
 * All rounds
 */

static int publish_round(struct run *run, struct report *r)
{
    struct lfs_staged_layer *staged[ROUND_LAYERS];
    size_t count = 0;
    int err;

    for (size_t i = 0; i < run->job_count; i++)
        if (run->jobs[i].state == JOB_STAGED)
            staged[count++] = run->jobs[i].staged;
    if (count == 0)
        return 0;
    err = lfs_ingest_publish(run->store, staged, count, r);
    for (size_t i = 0; i < run->job_count; i++) {
        struct job *job = &run->jobs[i];

        if (job->state != JOB_STAGED)
            continue;
        job->staged = lfs_staged_layer_free(job->staged);
        job->state = JOB_DONE;
    }
    return err;
}

/* All that is left is in others' hands: waits until one of these is done, and looks again. */
static int wait_for_others(struct run *run, struct report *r)
{
    _cleanup_(fd_closep) int fd = -1;
    char key[LFS_KEY_MAX];
    size_t i = 0;
    int err;

    while (run->jobs[i].state != JOB_PENDING)
        i++;
    err = lfs_store_key(run->jobs[i].diff_id, key);
    return err < 0 ? err : lfs_store_lock(run->store, key, &fd, r);
}

int lfs_layers_ensure(struct lfs_store *store, const struct lfs_layers_input *input,
    const struct lfs_ingest_options *options, struct report *r)
{
    _cleanup_(run_freep) struct run *run = NULL;
    int err = run_new(store, input, options, &run);

    while (err == 0) {
        size_t pending = count_state(run, JOB_PENDING);

        if (pending == 0)
            return 0;
        run_round(run, thread_count(run, pending));
        if (run->err < 0) {
            if (r)
                *r = run->report;
            return run->err;
        }
        err = publish_round(run, r);
        if (err == 0 && count_state(run, JOB_PENDING) == pending)
            err = wait_for_others(run, r);
    }
    return err;
}
