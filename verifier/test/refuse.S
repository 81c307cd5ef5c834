/* SPDX-License-Identifier: MIT */
/* Code that must be refused, and the rule it breaks. */
#include "snippet.inc"

table refuse_cases

#include "refuse_operands.inc"

#include "refuse_flow.inc"

#include "refuse_list.inc"

table_end refuse_end
