/*
 * worker_ends.c
 *	  See worker_begins.c.
 */
char		worker_ends_bss;
char		worker_ends_data = 1;
