/* SPDX-License-Identifier: Apache-2.0 */
/* One public header, named by HEADER, alone: it must bring whatever it needs. */
#include HEADER

/* Twice is once. */
#include HEADER

int main(void) { return 0; }
