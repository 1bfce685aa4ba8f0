/*
 * no_gettext.c
 *	  bindtextdomain and its kin that do nothing.
 *
 * A server that was not built for ASan calls them before libasan has started,
 * and dies in its interceptors.  Loaded after libasan, before the C library.
 */
#include <stddef.h>

char	   *bindtextdomain(const char *domain, const char *directory);
char	   *bind_textdomain_codeset(const char *domain, const char *codeset);
char	   *textdomain(const char *domain);

char *
bindtextdomain(const char *domain, const char *directory)
{
	(void) domain;
	return (char *) directory;
}

char *
bind_textdomain_codeset(const char *domain, const char *codeset)
{
	(void) domain;
	return (char *) codeset;
}

char *
textdomain(const char *domain)
{
	return (char *) domain;
}
