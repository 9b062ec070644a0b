/* Vectors of V numbers of type T and the functions of cells on them.
 *
 * T, I (an integer as wide as T), V and DOUBLE are defined before this file. GCC's and clang's
 * vector extension makes the same text AVX-512, AVX2, SSE or NEON. Functions of float are
 * polynomials without branches, right to a few units in the last place and for every input,
 * infinities and NaN too; double uses the C library, number by number.
 */
#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define MAYBE __attribute__((unused))
#define INLINE static inline __attribute__((always_inline, unused))

typedef T vec __attribute__((vector_size(V * sizeof(T))));
typedef I ivec __attribute__((vector_size(V * sizeof(T))));
typedef T uvec __attribute__((vector_size(V * sizeof(T)), aligned(sizeof(T)), may_alias));

/* Numbers of two vectors, by their places in both together. */
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif

/* A line of the cache that a later step reads. */
#define SOON(p) __builtin_prefetch(p)

/* A subtraction of zero is no instruction, and a broadcast from memory is a load; 0 + a would be an
 * addition of its own, since 0 + -0 is 0. */
INLINE vec splat(T a) { return a - (vec){0}; }

#define SIGN ((ivec){0} + (I)(1ull << (8 * sizeof(I) - 1)))

/* k numbers from p, or V if k is more; zeros in the other places. */
#if defined(__AVX512F__) && !DOUBLE && V == 16
INLINE __mmask16 mask_of(long k) { return (__mmask16)((1u << k) - 1); }
INLINE vec load(const T *p, long k) {
    if (__builtin_expect(k >= V, 1)) return *(const uvec *)p;
    return (vec)_mm512_maskz_loadu_ps(mask_of(k), p);
}
INLINE void store(T *p, long k, vec a) {
    if (__builtin_expect(k >= V, 1)) *(uvec *)p = a;
    else _mm512_mask_storeu_ps(p, mask_of(k), (__m512)a);
}
#elif defined(__AVX512F__) && DOUBLE && V == 8
INLINE __mmask8 mask_of(long k) { return (__mmask8)((1u << k) - 1); }
INLINE vec load(const T *p, long k) {
    if (__builtin_expect(k >= V, 1)) return *(const uvec *)p;
    return (vec)_mm512_maskz_loadu_pd(mask_of(k), p);
}
INLINE void store(T *p, long k, vec a) {
    if (__builtin_expect(k >= V, 1)) *(uvec *)p = a;
    else _mm512_mask_storeu_pd(p, mask_of(k), (__m512d)a);
}
#else
INLINE vec load(const T *p, long k) {
    if (__builtin_expect(k >= V, 1)) return *(const uvec *)p;
    vec a = {0};
    for (long i = 0; i < k; i++) a[i] = p[i];
    return a;
}

INLINE void store(T *p, long k, vec a) {
    if (__builtin_expect(k >= V, 1)) { *(uvec *)p = a; return; }
    for (long i = 0; i < k; i++) p[i] = a[i];
}
#endif

/* The bits of one where a mask is set, of the other elsewhere. */
INLINE vec choose(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }
INLINE vec truth(ivec mask) { return (vec)(mask & (ivec)splat(1)); }

/* Bounds that let a NaN through: a comparison with it is false, and x86's min and max give their
 * second operand. */
#if defined(__AVX512F__) && !DOUBLE && V == 16
INLINE vec at_most(vec a, T bound) { return (vec)_mm512_min_ps((__m512)splat(bound), (__m512)a); }
INLINE vec at_least(vec a, T bound) { return (vec)_mm512_max_ps((__m512)splat(bound), (__m512)a); }
#elif defined(__AVX__) && !DOUBLE && V == 8
INLINE vec at_most(vec a, T bound) { return (vec)_mm256_min_ps((__m256)splat(bound), (__m256)a); }
INLINE vec at_least(vec a, T bound) { return (vec)_mm256_max_ps((__m256)splat(bound), (__m256)a); }
#elif defined(__SSE__) && !DOUBLE && V == 4
INLINE vec at_most(vec a, T bound) { return (vec)_mm_min_ps((__m128)splat(bound), (__m128)a); }
INLINE vec at_least(vec a, T bound) { return (vec)_mm_max_ps((__m128)splat(bound), (__m128)a); }
#else
INLINE vec at_most(vec a, T bound) { return choose((ivec)(a > bound), splat(bound), a); }
INLINE vec at_least(vec a, T bound) { return choose((ivec)(a < bound), splat(bound), a); }
#endif

/* The first k numbers, and `other` beyond. */
INLINE vec first(vec a, long k, T other) {
    if (__builtin_expect(k >= V, 1)) return a;
    for (long i = k; i < V; i++) a[i] = other;
    return a;
}

INLINE vec total(vec a) {
    T t = 0;
    for (int i = 0; i < V; i++) t += a[i];
    return splat(t);
}

#define EACH(f) \
    vec y = a; \
    for (int i = 0; i < V; i++) y[i] = f(a[i]); \
    return y;

INLINE vec v_neg(vec a) { return -a; }
INLINE vec v_detach(vec a) { return a; }
INLINE vec v_add(vec a, vec b) { return a + b; }
INLINE vec v_sub(vec a, vec b) { return a - b; }
INLINE vec v_mul(vec a, vec b) { return a * b; }
INLINE vec v_div(vec a, vec b) { return a / b; }
INLINE vec v_reciprocal(vec a) { return 1 / a; }
INLINE vec v_abs(vec a) { return (vec)((ivec)a & ~SIGN); }
INLINE vec v_lt(vec a, vec b) { return truth((ivec)(a < b)); }
INLINE vec v_le(vec a, vec b) { return truth((ivec)(a <= b)); }
INLINE vec v_eq(vec a, vec b) { return truth((ivec)(a == b)); }
INLINE vec v_not(vec a) { return truth((ivec)(a == 0)); }
INLINE vec v_and(vec a, vec b) { return truth((ivec)(a != 0) & (ivec)(b != 0)); }
INLINE vec v_or(vec a, vec b) { return truth((ivec)(a != 0) | (ivec)(b != 0)); }
INLINE vec v_where(vec c, vec a, vec b) { return choose((ivec)(c != 0), a, b); }
INLINE vec v_sign(vec a) {
    return truth((ivec)(a > 0)) - truth((ivec)(a < 0)); /* of a NaN 0, as torch has it */
}
/* A NaN on either side comes out, as torch has it. */
INLINE vec v_maximum(vec a, vec b) { return choose((ivec)(a > b) | (ivec)(a != a), a, b); }
INLINE vec v_minimum(vec a, vec b) { return choose((ivec)(a < b) | (ivec)(a != a), a, b); }
INLINE vec v_relu(vec a) { return choose((ivec)(a > 0) | (ivec)(a != a), a, splat(0)); }

#if DOUBLE
#define F(name) name
#else
#define F(name) name##f
#endif

INLINE vec v_sqrt(vec a) { EACH(F(sqrt)) }
INLINE vec v_sin(vec a) { EACH(F(sin)) }
INLINE vec v_cos(vec a) { EACH(F(cos)) }
INLINE vec v_atan(vec a) { EACH(F(atan)) }
INLINE vec v_erf(vec a) { EACH(F(erf)) }
INLINE vec v_floor(vec a) { EACH(F(floor)) }
INLINE vec v_ceil(vec a) { EACH(F(ceil)) }
INLINE vec v_round(vec a) { EACH(F(rint)) }
INLINE vec v_pow(vec a, vec b) {
    vec y = a;
    for (int i = 0; i < V; i++) y[i] = F(pow)(a[i], b[i]);
    return y;
}

#if DOUBLE

INLINE vec v_exp(vec a) { EACH(exp) }
INLINE vec v_expm1(vec a) { EACH(expm1) }
INLINE vec v_log(vec a) { EACH(log) }
INLINE vec v_log1p(vec a) { EACH(log1p) }
INLINE vec v_tanh(vec a) { EACH(tanh) }
INLINE vec v_sigmoid(vec a) { return 1 / (1 + v_exp(-a)); }

#else

/* 2^n for n from -127 (which gives 0) to 128 (infinity). */
INLINE vec power_of_two(ivec n) { return (vec)((n + 127) << 23); }

/* exp(a) - 1 = 2^n (q + 1) - 1, with a = n log 2 + r, |r| <= log 2 / 2 and q = exp(r) - 1; the
 * bounds keep n in range. A NaN comes through in q. */
INLINE vec reduced(vec a, T low, T high, ivec *n) {
    a = at_most(at_least(a, low), high);
    const vec magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number */
    vec shifted = a * 1.44269504088896341f + magic;
    vec whole = shifted - magic;
    *n = (ivec)shifted - (ivec)magic;
    vec r = a - whole * 0.693359375f + whole * 2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return p * (r * r) + r;
}

INLINE vec v_exp(vec a) {
    ivec n;
    vec q = reduced(a, -110, 90, &n);
    ivec half = n >> 1; /* 2^n in two steps: it may overflow or be denormal where they do not */
    return (q + 1) * power_of_two(half) * power_of_two(n - half);
}

INLINE vec v_expm1(vec a) {
    ivec n;
    vec q = reduced(a, -30, 89, &n);
    vec half = power_of_two(n - 1);
    return 2 * (half * q + (half - 0.5f));
}

/* x P(x^2) / Q(x^2), with P of degree 6 and Q of degree 3, as Eigen has them but divided by Q(0):
 * then the smallest x lose nothing. Where 1 is nearer than their error it is 1 exactly. */
INLINE vec v_tanh(vec a) {
    const T most = 7.90531110763549805f;
    vec x = at_most(at_least(a, -most), most), z = x * x;
    vec p = z * -5.64167624e-14f + 4.08741721e-11f;
    p = p * z - 1.75837892e-08f;
    p = p * z + 1.04674992e-05f;
    p = p * z + 3.03609832e-03f;
    p = p * z + 1.30225534e-01f;
    p = p * z + 1;
    vec q = z * 2.44866093e-04f + 2.42227640e-02f;
    q = q * z + 4.63558385e-01f;
    q = q * z + 1;
    return choose((ivec)(v_abs(a) >= most), (vec)((ivec)splat(1) | ((ivec)a & SIGN)), x * p / q);
}

INLINE vec v_sigmoid(vec a) {
    ivec n;
    vec q = reduced(-a, -88, 88, &n);
    vec scale = power_of_two(n);
    return 1 / (scale * q + (scale + 1));
}

INLINE vec v_log(vec a) {
    ivec tiny = (ivec)(a < 1.17549435e-38f);
    vec scaled = choose(tiny, a * 8388608.0f, a);
    ivec bits = (ivec)scaled;
    ivec n = ((bits >> 23) & 255) - 126;
    vec m = (vec)((bits & 0x007fffff) | 0x3f000000); /* in [1/2, 1) */
    ivec low = (ivec)(m < 0.707106781f);
    vec whole;
    for (int i = 0; i < V; i++) whole[i] = (float)n[i];
    whole = whole - truth(low) - (vec)(tiny & (ivec)splat(23.0f));
    m = m + (vec)(low & (ivec)m) - 1;
    vec z = m * m;
    vec p = m * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    vec y = p * m * z - whole * 2.12194440e-4f - 0.5f * z;
    y = m + y + whole * 0.693359375f;
    y = choose((ivec)(a == INFINITY), a, y);
    y = choose((ivec)(a == 0), splat(-INFINITY), y);
    return choose((ivec)(a < 0) | (ivec)(a != a), splat(NAN), y);
}

INLINE vec v_log1p(vec a) {
    vec u = a + 1;
    vec rounded = u - 1; /* what of a is in u; the ratio makes up for the rest */
    vec y = v_log(u) * (a / rounded);
    y = choose((ivec)(rounded == 0), a, y);
    return choose((ivec)(u == INFINITY), u, y);
}

#endif

INLINE vec v_softplus(vec a) {
    vec beyond = v_log1p(v_exp(-v_abs(a)));
    return choose((ivec)(a != a), a, v_relu(a) + beyond);
}

/* Denormal numbers make every operation slow, and backward passes are full of them. */
#if defined(__x86_64__)
INLINE unsigned long flushing(void) {
    unsigned old = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(old | 0x8040);
    return old;
}
INLINE void flushed(unsigned long old) { __builtin_ia32_ldmxcsr((unsigned)old); }
#elif defined(__aarch64__)
INLINE unsigned long flushing(void) {
    unsigned long old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | (1ul << 24)));
    return old;
}
INLINE void flushed(unsigned long old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
#else
INLINE unsigned long flushing(void) { return 0; }
INLINE void flushed(unsigned long old) { (void)old; }
#endif
