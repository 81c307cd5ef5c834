// SPDX-License-Identifier: MIT
/* Removing what a function has left in its temporary directory. */
#ifndef UFAAS_TREE_H
#define UFAAS_TREE_H

/* Removes a directory with all that is in it, following no link. 0 or -errno of what was left. */
int tree_remove(const char *path);

#endif
