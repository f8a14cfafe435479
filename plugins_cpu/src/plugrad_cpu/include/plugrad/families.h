/* All kernel families of one instruction set, under the name pg_families_<isa>. */
#include "cast.h"
#include "contraction.h"
#include "elementwise.h"
#include "movement.h"
#include "norm.h"
#include "random.h"
#include "reduction.h"

const pg_family PG_NAME(pg_families)[] = {
    {"elementwise", pg_elementwise_entries}, {"cast", pg_cast_entries},     {"movement", pg_movement_entries},
    {"reduction", pg_reduction_entries},     {"random", pg_random_entries}, {"contraction", pg_contraction_entries},
    {"norm", pg_norm_entries},               {0}};
