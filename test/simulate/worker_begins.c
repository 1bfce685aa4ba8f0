/*
 * worker_begins.c
 *	  Linked before the modules of the worker, worker_ends.c after them: in between are their static variables,
 *	  which a worker that is started again has as they were.
 */
char		worker_begins_bss;
char		worker_begins_data = 1;
