/* The functions of BLAS and LAPACK that OpenCV calls, by the OpenBLAS that numpy brings.
 *
 * OpenCV's wheel has an OpenBLAS of its own, 39 MB, for a handful of functions on large matrices. numpy's is the same library with
 * integers of 64 bits and other names, so this file converts the integers. tools/packaging/shrink.py compiles it.
 */
#include <stdint.h>
#include <stdlib.h>

typedef int64_t wide;

#define GEMM(letter, type, scalar)                                                                                             \
  void scipy_cblas_##letter##gemm64_(int, int, int, wide, wide, wide, scalar, const type *, wide, const type *, wide, scalar, \
                                     type *, wide);                                                                           \
  void cblas_##letter##gemm(int order, int ta, int tb, int m, int n, int k, scalar alpha, const type *a, int lda, const type *b, \
                            int ldb, scalar beta, type *c, int ldc) {                                                         \
    scipy_cblas_##letter##gemm64_(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                               \
  }
GEMM(s, float, float)
GEMM(d, double, double)
GEMM(c, void, const void *)
GEMM(z, void, const void *)

static int least(int a, int b) { return a < b ? a : b; }

/* Pivots are integers that the caller reads; without memory the caller is told so as of a failed argument. */
static wide *wide_array(int count) { return malloc(sizeof(wide) * (size_t)(count > 0 ? count : 1)); }

static void take_pivots(wide *from, int *to, int count) {
  for (int i = 0; i < count; i++) to[i] = (int)from[i];
  free(from);
}

#define LAPACK(p, type)                                                                                                        \
  void scipy_##p##getrf_64_(wide *, wide *, type *, wide *, wide *, wide *);                                                   \
  void p##getrf_(int *m, int *n, type *a, int *lda, int *ipiv, int *info) {                                                    \
    wide m_ = *m, n_ = *n, lda_ = *lda, info_ = 0, *pivots = wide_array(least(*m, *n));                                        \
    if (!pivots) { *info = -5; return; }                                                                                       \
    scipy_##p##getrf_64_(&m_, &n_, a, &lda_, pivots, &info_);                                                                  \
    take_pivots(pivots, ipiv, least(*m, *n));                                                                                  \
    *info = (int)info_;                                                                                                        \
  }                                                                                                                            \
  void scipy_##p##gesv_64_(wide *, wide *, type *, wide *, wide *, type *, wide *, wide *);                                    \
  void p##gesv_(int *n, int *nrhs, type *a, int *lda, int *ipiv, type *b, int *ldb, int *info) {                               \
    wide n_ = *n, nrhs_ = *nrhs, lda_ = *lda, ldb_ = *ldb, info_ = 0, *pivots = wide_array(*n);                                \
    if (!pivots) { *info = -5; return; }                                                                                       \
    scipy_##p##gesv_64_(&n_, &nrhs_, a, &lda_, pivots, b, &ldb_, &info_);                                                      \
    take_pivots(pivots, ipiv, *n);                                                                                             \
    *info = (int)info_;                                                                                                        \
  }                                                                                                                            \
  void scipy_##p##potrf_64_(char *, wide *, type *, wide *, wide *, size_t);                                                   \
  void p##potrf_(char *uplo, int *n, type *a, int *lda, int *info) {                                                           \
    wide n_ = *n, lda_ = *lda, info_ = 0;                                                                                      \
    scipy_##p##potrf_64_(uplo, &n_, a, &lda_, &info_, 1);                                                                      \
    *info = (int)info_;                                                                                                        \
  }                                                                                                                            \
  void scipy_##p##posv_64_(char *, wide *, wide *, type *, wide *, type *, wide *, wide *, size_t);                            \
  void p##posv_(char *uplo, int *n, int *nrhs, type *a, int *lda, type *b, int *ldb, int *info) {                              \
    wide n_ = *n, nrhs_ = *nrhs, lda_ = *lda, ldb_ = *ldb, info_ = 0;                                                          \
    scipy_##p##posv_64_(uplo, &n_, &nrhs_, a, &lda_, b, &ldb_, &info_, 1);                                                     \
    *info = (int)info_;                                                                                                        \
  }                                                                                                                            \
  void scipy_##p##gels_64_(char *, wide *, wide *, wide *, type *, wide *, type *, wide *, type *, wide *, wide *, size_t);    \
  void p##gels_(char *trans, int *m, int *n, int *nrhs, type *a, int *lda, type *b, int *ldb, type *work, int *lwork,          \
                int *info) {                                                                                                   \
    wide m_ = *m, n_ = *n, nrhs_ = *nrhs, lda_ = *lda, ldb_ = *ldb, lwork_ = *lwork, info_ = 0;                                \
    scipy_##p##gels_64_(trans, &m_, &n_, &nrhs_, a, &lda_, b, &ldb_, work, &lwork_, &info_, 1);                                \
    *info = (int)info_;                                                                                                        \
  }                                                                                                                            \
  void scipy_##p##geqrf_64_(wide *, wide *, type *, wide *, type *, type *, wide *, wide *);                                   \
  void p##geqrf_(int *m, int *n, type *a, int *lda, type *tau, type *work, int *lwork, int *info) {                            \
    wide m_ = *m, n_ = *n, lda_ = *lda, lwork_ = *lwork, info_ = 0;                                                            \
    scipy_##p##geqrf_64_(&m_, &n_, a, &lda_, tau, work, &lwork_, &info_);                                                      \
    *info = (int)info_;                                                                                                        \
  }                                                                                                                            \
  void scipy_##p##gesdd_64_(char *, wide *, wide *, type *, wide *, type *, type *, wide *, type *, wide *, type *, wide *,    \
                            wide *, wide *, size_t);                                                                           \
  void p##gesdd_(char *jobz, int *m, int *n, type *a, int *lda, type *s, type *u, int *ldu, type *vt, int *ldvt, type *work,   \
                 int *lwork, int *iwork, int *info) {                                                                          \
    wide m_ = *m, n_ = *n, lda_ = *lda, ldu_ = *ldu, ldvt_ = *ldvt, lwork_ = *lwork, info_ = 0;                                \
    wide *scratch = wide_array(8 * least(*m, *n));                                                                             \
    (void)iwork;                                                                                                               \
    if (!scratch) { *info = -13; return; }                                                                                     \
    scipy_##p##gesdd_64_(jobz, &m_, &n_, a, &lda_, s, u, &ldu_, vt, &ldvt_, work, &lwork_, scratch, &info_, 1);                \
    free(scratch);                                                                                                             \
    *info = (int)info_;                                                                                                        \
  }
LAPACK(s, float)
LAPACK(d, double)

void scipy_dgeev_64_(char *, char *, wide *, double *, wide *, double *, double *, double *, wide *, double *, wide *, double *,
                     wide *, wide *, size_t, size_t);
void dgeev_(char *jobvl, char *jobvr, int *n, double *a, int *lda, double *wr, double *wi, double *vl, int *ldvl, double *vr,
            int *ldvr, double *work, int *lwork, int *info) {
  wide n_ = *n, lda_ = *lda, ldvl_ = *ldvl, ldvr_ = *ldvr, lwork_ = *lwork, info_ = 0;
  scipy_dgeev_64_(jobvl, jobvr, &n_, a, &lda_, wr, wi, vl, &ldvl_, vr, &ldvr_, work, &lwork_, &info_, 1, 1);
  *info = (int)info_;
}
