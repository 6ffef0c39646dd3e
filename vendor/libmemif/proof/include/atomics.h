/* For the analysis alone, which knows no C11 atomics: what another party may change at any time has
 * any value at each load. */
#ifndef PROOF_ATOMICS_H
#define PROOF_ATOMICS_H
#define __FC_STDATOMIC /* not the analyser's own */

/* any.h: others write to all that is theirs. */
void others_write (void);

#define _Atomic
#define _Alignas(n)
#define _Static_assert(...)

enum { memory_order_relaxed, memory_order_acquire, memory_order_release, memory_order_acq_rel, memory_order_seq_cst };

#define atomic_init(at, value) ((void) (*(at) = (value)))
#define atomic_load(at) (others_write (), *(at))
#define atomic_load_explicit(at, order) (others_write (), *(at))
#define atomic_store(at, value) ((void) (*(at) = (value)))
#define atomic_store_explicit(at, value, order) ((void) (*(at) = (value)))
#define atomic_exchange(at, value) (*(at) = (value), others_write (), *(at))
#define atomic_exchange_explicit(at, value, order) atomic_exchange (at, value)
#define atomic_fetch_add(at, value) (others_write (), (*(at) += (value)) - (value))
#define atomic_fetch_add_explicit(at, value, order) atomic_fetch_add (at, value)
#define atomic_fetch_sub(at, value) (others_write (), (*(at) -= (value)) + (value))
#define atomic_fetch_sub_explicit(at, value, order) atomic_fetch_sub (at, value)
#define atomic_thread_fence(order) ((void) 0)
#define atomic_signal_fence(order) ((void) 0)

#define __builtin_expect(value, expected) (value)
#define __builtin_prefetch(...) ((void) 0)

#endif
