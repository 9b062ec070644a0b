/* The parts that all cells' functions share: arguments, threads, beginnings and ends of rows. */
#include <sched.h>

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

INLINE long padded(long n) { return (n + V - 1) / V * V; }

/* The distance between rows of scratch memory: at a power of two, all rows of a tile would share the
 * same few lines of the first cache. */
INLINE long spread(long n) { long p = padded(n); return p % 256 ? p : p + V; }

typedef void (*Product)(long rows, long K, long N, long lo, long hi, const T *A, long lda,
                        const T *packed, const T *init, long ldi, T *C, long ldc);

typedef struct {
    long begin, end;           /* steps */
    long batch;                /* rows, longest first */
    long threads;
    long by_units;             /* whether threads share out units, and not rows */
    long room;                 /* numbers of scratch memory a thread */
    long flush;                /* whether denormal numbers count as zero during the call */
    const long *first, *count; /* for each step: its first row in sequence arrays, rows that run */
    const long *split;         /* the rows of thread t begin at split[t] */
    const long *d;             /* sizes */
    const unsigned char *reset; /* for each row of sequence arrays: begins anew, or NULL */
    T *scratch;
    Product product;
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned); /* GOMP_parallel */
    int (*thread)(void);                                            /* omp_get_thread_num */
    int (*team)(void);                                              /* omp_get_num_threads */
    long half; /* whether packed matrices are bfloat16, two rows at a time */
    T *table[]; /* sequence arrays, packed matrices, for each of them what it makes of the input
                 * if that was done before, parameters that are vectors or numbers */
} Args;

/* A place where threads that share out units wait for one another. */
typedef struct { long team, waiting, round; } Gate;

INLINE void meet(Gate *g) {
    if (g->team == 1) return;
    long round = __atomic_load_n(&g->round, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&g->waiting, 1, __ATOMIC_ACQ_REL) == g->team) {
        __atomic_store_n(&g->waiting, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&g->round, round + 1, __ATOMIC_RELEASE);
        return;
    }
    for (long spins = 0; __atomic_load_n(&g->round, __ATOMIC_ACQUIRE) == round; spins++) {
        if (spins < 4096) PAUSE();
        else sched_yield(); /* somebody else has that thread's processor */
    }
}

/* The units, of n, that are a thread's own: from share_of(n, me, team) to share_of(n, me + 1, team),
 * whole vectors. */
INLINE long share_of(long n, long me, long team) {
    long at = (n + V - 1) / V * me / team * V;
    return at < n ? at : n;
}

INLINE long taken(long n) { return padded(n) + V; }
INLINE T *take(T **room, long n) { T *p = *room; *room += taken(n); return p; }
INLINE void swap(T **a, T **b) { T *c = *a; *a = *b; *b = c; }

INLINE vec largest(vec a) {
    T m = a[0];
    for (int i = 1; i < V; i++) m = a[i] > m || a[i] != a[i] ? a[i] : m;
    return splat(m);
}

/* Rows of this thread that take part in step s. */
INLINE long running(const Args *a, long s, long lo, long hi) {
    long n = (a->count[s] < hi ? a->count[s] : hi) - lo;
    return n > 0 ? n : 0;
}

/* The numbers from lo to hi of n rows. */
INLINE void copy(long n, long width, long lo, long hi, const T *from, T *to) {
    if (hi - lo == width) { memcpy(to, from, n * width * sizeof(T)); return; }
    for (long r = 0; r < n; r++)
        memcpy(to + r * width + lo, from + r * width + lo, (hi - lo) * sizeof(T));
}

INLINE void clear(long n, long width, long lo, long hi, T *to) {
    for (long r = 0; r < n; r++) memset(to + r * width + lo, 0, (hi - lo) * sizeof(T));
}

INLINE void plus(long n, long width, long lo, long hi, const T *from, T *to) {
    for (long r = 0; r < n; r++, from += width, to += width)
        for (long j = lo; j < hi; j += V)
            store(to + j, hi - j, load(to + j, hi - j) + load(from + j, hi - j));
}

/* out = init + source @ matrix, whole or, of every group of columns, the thread's own. */
INLINE void multiply(const Args *a, long n, long K, long N, long group, long me, long team,
                     const T *A, long lda, const T *packed, const T *init, long ldi, T *C,
                     long ldc) {
    if (!a->by_units) {
        a->product(n, K, N, 0, N, A, lda, packed, init, ldi, C, ldc);
        return;
    }
    long lo = share_of(group, me, team), hi = share_of(group, me + 1, team);
    long depth = a->half ? (K + 1) / 2 : K;
    for (long g = 0; g < N; g += group)
        a->product(n, K, group, lo, hi, A, lda, packed + g / group * padded(group) * depth,
                   init ? init + g : 0, ldi, C + g, ldc);
}

/* Rows of length 0 end as they began. */
INLINE void never_ran(const Args *a, long lo, long hi, const T *state, T *final, long width,
                      long from, long to) {
    long ran = a->end > a->begin ? running(a, a->begin, lo, hi) : 0;
    copy(hi - lo - ran, width, from, to, state + (lo + ran) * width, final + (lo + ran) * width);
}

/* Rows whose last step was s leave their state. */
INLINE void ended(const Args *a, long s, long lo, long n, const T *state, T *final, long width,
                  long from, long to) {
    long on = s + 1 < a->end ? running(a, s + 1, lo, lo + n) : 0;
    copy(n - on, width, from, to, state + on * width, final + (lo + on) * width);
}

/* The old state with rows that begin a new sequence replaced. */
INLINE const T *begin_anew(const Args *a, long at, long lo, long n, const T *old, const T *fresh,
                           T *begun, long width) {
    long any = 0;
    for (long r = 0; r < n; r++) any |= a->reset[at + r];
    if (!any) return old;
    for (long r = 0; r < n; r++)
        memcpy(begun + r * width, a->reset[at + r] ? fresh + (lo + r) * width : old + r * width,
               width * sizeof(T));
    return begun;
}

/* Backward: rows whose last step is s come in with the gradient of their final state. */
INLINE void enters(const Args *a, long s, long lo, long n, const T *final, T *carry, long width,
                   long from, long to) {
    long on = s + 1 < a->end ? running(a, s + 1, lo, lo + n) : 0;
    copy(n - on, width, from, to, final + (lo + on) * width, carry + on * width);
}

/* Backward: what reached a state that was replaced belongs to what replaced it. */
INLINE void to_fresh(const Args *a, long at, long lo, long n, T *back, T *fresh, long width) {
    for (long r = 0; r < n; r++)
        if (a->reset[at + r]) {
            plus(1, width, 0, width, back + r * width, fresh + (lo + r) * width);
            memset(back + r * width, 0, width * sizeof(T));
        }
}

/* Backward: the gradient of the state before the first step; rows of length 0 pass it on. */
INLINE void to_start(const Args *a, long lo, long hi, const T *carry, const T *final, T *start,
                     long width, long from, long to) {
    long ran = a->end > a->begin ? running(a, a->begin, lo, hi) : 0;
    copy(ran, width, from, to, carry, start + lo * width);
    copy(hi - lo - ran, width, from, to, final + (lo + ran) * width, start + (lo + ran) * width);
}

typedef void (*Rows)(const Args *, long me, long team, Gate *);
typedef struct { const Args *a; Rows rows; Gate gate; } Job;

/* The shares of one thread; the pool may have given fewer threads than were asked for. */
static void of_one_thread(void *p) {
    Job *job = p;
    const Args *a = job->a;
    unsigned long old = a->flush ? flushing() : 0;
    long team = a->threads > 1 ? a->team() : 1, thread = team > 1 ? a->thread() : 0;
    if (a->by_units) {
        if (thread == 0) __atomic_store_n(&job->gate.team, team, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&job->gate.team, __ATOMIC_ACQUIRE)) PAUSE();
        job->rows(a, thread, team, &job->gate);
    } else {
        Gate alone = {1, 0, 0};
        for (long me = thread; me < a->threads; me += team) job->rows(a, me, 1, &alone);
    }
    if (a->flush) flushed(old);
}

static void in_threads(const Args *a, Rows rows) {
    Job job = {a, rows, {0, 0, 0}};
    if (a->threads > 1) a->parallel(of_one_thread, &job, (unsigned)a->threads, 0);
    else of_one_thread(&job);
}
