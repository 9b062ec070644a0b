/* What every cell's functions share: their arguments, threads, and where rows begin and end. */

typedef void (*Product)(long rows, long K, long N, const T *A, long lda, const T *packed,
                        const T *init, long ldi, T *C, long ldc);

typedef struct {
    long begin, end;           /* steps */
    long batch;                /* rows, longest first */
    long threads;
    long room;                 /* numbers of scratch memory a thread */
    const long *first, *count; /* for each step: its first row in sequence arrays, rows that run */
    const long *split;         /* the rows of thread t begin at split[t] */
    const long *d;             /* sizes */
    T *const *arrays;
    T *const *panels;          /* packed matrices */
    T *const *early;           /* for each: what it makes of the input, if that was done before */
    const T *const *vectors;   /* parameters that are vectors or numbers */
    const unsigned char *reset; /* for each row of sequence arrays: begins anew, or NULL */
    T *scratch;
    Product product;
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned); /* GOMP_parallel */
    int (*thread)(void);                                            /* omp_get_thread_num */
    long flush;                /* whether denormal numbers count as zero during the call */
} Args;

INLINE long padded(long n) { return (n + V - 1) / V * V; }
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

INLINE void copy_rows(long n, long width, const T *from, T *to, long ld) {
    for (long r = 0; r < n; r++) memcpy(to + r * ld, from + r * width, width * sizeof(T));
}

INLINE void plus(long n, const T *from, T *to) {
    for (long j = 0; j < n; j += V) store(to + j, n - j, load(to + j, n - j) + load(from + j, n - j));
}

/* Rows of length 0 end as they began. */
INLINE void never_ran(const Args *a, long lo, long hi, const T *state, T *final, long width) {
    long from = a->end > a->begin ? running(a, a->begin, lo, hi) : 0;
    memcpy(final + (lo + from) * width, state + (lo + from) * width,
           (hi - lo - from) * width * sizeof(T));
}

/* Rows whose last step was s leave their state. */
INLINE void ended(const Args *a, long s, long lo, long n, const T *state, T *final, long width) {
    long from = s + 1 < a->end ? running(a, s + 1, lo, lo + n) : 0;
    memcpy(final + (lo + from) * width, state + from * width, (n - from) * width * sizeof(T));
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
INLINE void enters(const Args *a, long s, long lo, long n, const T *final, T *carry, long width) {
    long from = s + 1 < a->end ? running(a, s + 1, lo, lo + n) : 0;
    memcpy(carry + from * width, final + (lo + from) * width, (n - from) * width * sizeof(T));
}

/* Backward: what reached a state that was replaced belongs to what replaced it. */
INLINE void to_fresh(const Args *a, long at, long lo, long n, T *back, T *fresh, long width) {
    for (long r = 0; r < n; r++)
        if (a->reset[at + r]) {
            plus(width, back + r * width, fresh + (lo + r) * width);
            memset(back + r * width, 0, width * sizeof(T));
        }
}

/* Backward: the gradient of the state before the first step; rows of length 0 pass it on. */
INLINE void to_start(const Args *a, long lo, long hi, const T *carry, const T *final, T *start,
                     long width) {
    long ran = a->end > a->begin ? running(a, a->begin, lo, hi) : 0;
    memcpy(start + lo * width, carry, ran * width * sizeof(T));
    memcpy(start + (lo + ran) * width, final + (lo + ran) * width,
           (hi - lo - ran) * width * sizeof(T));
}

typedef void (*Rows)(const Args *, long);
typedef struct { const Args *a; Rows rows; } Job;

static void of_one_thread(void *p) {
    const Job *job = p;
    unsigned long old = job->a->flush ? flushing() : 0;
    job->rows(job->a, job->a->threads > 1 ? job->a->thread() : 0);
    if (job->a->flush) flushed(old);
}

static void in_threads(const Args *a, Rows rows) {
    Job job = {a, rows};
    if (a->threads > 1) a->parallel(of_one_thread, &job, (unsigned)a->threads, 0);
    else of_one_thread(&job);
}
