/* Packing, and products of rows with a packed matrix: of the few rows of a step, which is the work
 * of a recurrence, and of all rows before or after the loop. tiles.h comes before this file.
 */

/* Matrices to pack, their panels shared out. */
typedef struct { long K, N, group; const T *p; long sk, sj; T *out; } Matrix;

typedef struct {
    long count, threads;
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
    int (*thread)(void);
    int (*team)(void);
    Matrix matrices[];
} Packing;

static long panels_of(const Matrix *m) {
    return m->N / m->group * ((m->group + W * V - 1) / (W * V));
}

/* The panels of a matrix from `lo` to `hi`. */
static void pack_part(const Matrix *m, long lo, long hi) {
    long a_group = (m->group + W * V - 1) / (W * V);
    long padded = (m->group + V - 1) / V * V;
    for (long q = lo; q < hi; q++) {
        long g = q / a_group, j = q % a_group * W * V, left = m->group - j;
        long wide = (left < W * V ? (left + V - 1) / V : W) * V;
        pack_panel(m->K, m->p + (g * m->group + j) * m->sj, m->sk, m->sj,
                   m->out + (g * padded + j) * m->K, wide, left);
    }
}

/* The matrix has element (k, j) at p[k * sk + j * sj]. Its columns are packed `group` at a time,
 * each group beginning at a panel of its own. */
void pack(long K, long N, long group, const T *p, long sk, long sj, T *out) {
    Matrix m = {K, N, group, p, sk, sj, out};
    pack_part(&m, 0, panels_of(&m));
}

static void pack_share(const Packing *a, long me, long team) {
    long all = 0, at = 0;
    for (long i = 0; i < a->count; i++) all += panels_of(a->matrices + i);
    long lo = all * me / team, hi = all * (me + 1) / team;
    for (long i = 0; i < a->count; i++) {
        long n = panels_of(a->matrices + i), from = lo - at, to = hi - at;
        pack_part(a->matrices + i, from > 0 ? from : 0, to < n ? to : n);
        at += n;
    }
}

static void pack_in_pool(void *p) {
    const Packing *a = p;
    long team = a->threads > 1 ? a->team() : 1;
    pack_share(a, team > 1 ? a->thread() : 0, team);
}

void pack_all(const Packing *a) {
    if (a->threads > 1) a->parallel(pack_in_pool, (void *)a, (unsigned)a->threads, 0);
    else pack_share(a, 0, 1);
}

/* A sum that changes when a number does, for weights written to behind a cache's back. */
unsigned long summed(long rows, long bytes, const char *p, long stride) {
    enum { LANES = 32 };
    unsigned long s[LANES] = {0};
    for (long r = 0; r < rows; r++, p += stride) {
        long j = 0;
        for (; j + LANES * 8 <= bytes; j += LANES * 8) {
            unsigned long words[LANES];
            memcpy(words, p + j, sizeof words);
            for (int i = 0; i < LANES; i++) s[i] = (s[i] ^ words[i]) * 0x9E3779B97F4A7C15ul + 1;
        }
        for (; j < bytes; j += 8) {
            unsigned long word = 0;
            memcpy(&word, p + j, bytes - j < 8 ? bytes - j : 8);
            s[j / 8 % LANES] = (s[j / 8 % LANES] ^ word) * 0x9E3779B97F4A7C15ul + 1;
        }
    }
    unsigned long all = 0;
    for (int i = 0; i < LANES; i++) all = (all ^ (s[i] >> 29) ^ s[i]) * 0xBF58476D1CE4E5B9ul;
    return all;
}

#define BY_ROW(r, w) TILE(tile, r, w, down, 1, 1)
SHAPES(BY_ROW)
static const Tile tiles[R][W] = TABLE(tile);

/* C = init + A @ matrix for the columns from `lo` (a whole number of vectors) to `hi`. init has
 * rows ldi apart (0: the same for all), or is NULL for zeros; it may be C itself. */
void product(long rows, long K, long N, long lo, long hi, const T *A, long lda, const T *packed,
             const T *init, long ldi, T *C, long ldc) {
    const long wide = W * V, begin = lo / wide, end = (hi + wide - 1) / wide;
    const long blocks = (rows + R - 1) / R;
    for (long q = begin; q < end; q++) {
        long first = q * wide, j = first > lo ? first : lo;
        long past = first + wide < hi ? first + wide : hi;
        long left = N - first, step = (left >= wide ? W : (left + V - 1) / V) * V;
        long vectors = (past - j + V - 1) / V;
        const T *panel = packed + first * K + (j - first);
        /* The next panel, or the first for the next step: of it each tile asks for its part. */
        const T *next = packed + (q + 1 < end ? q + 1 : begin) * wide * K;
        long lines = K * step / LINE;
        for (long b = 0, r = 0; b < blocks; b++) {
            long here = (rows - r + blocks - b - 1) / (blocks - b); /* blocks of like height */
            tiles[here - 1][vectors - 1](K, A + r * lda, lda, panel, step,
                                         init ? init + r * ldi + j : 0, ldi, C + r * ldc + j, ldc,
                                         past - j, next + lines * b / blocks * LINE);
            r += here;
        }
    }
}

/* C (rows, N) = init + A (rows, K) @ the packed matrix. */
static void by_rows_part(const Large *a, long me) {
    long lo = a->rows * me / a->threads, hi = a->rows * (me + 1) / a->threads;
    for (long r = lo; r < hi; r += CHUNK) {
        long here = hi - r < CHUNK ? hi - r : CHUNK;
        T *C = a->C + r * a->N;
        a->product(here, a->K, a->N, 0, a->N, a->A + r * a->lda, a->lda, a->G,
                a->init ? a->init + r * a->ldi : 0, a->ldi, C, a->N);
    }
}

void by_rows(const Large *a) { share_out(a, by_rows_part); }
