/* SPDX-License-Identifier: MIT */
/* µprocess 1 of a machine that is to fail (test/pc_stacks.py): computes; with an argument it ends.
 */
int main(int argc, char **argv) {
  (void)argv;
  for (volatile unsigned k = 0; argc == 1; k++)
    ;
  return 3;
}
