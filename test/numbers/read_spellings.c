/*
 * read_spellings.c
 *	  Reads lines "spelling TAB digits", counts what jid.c makes of them.
 *
 * Prints each spelling that is refused or read as other digits, and one line of
 * counts.  Exit status 0 only if there was none of those.
 */
#include "postgres_fe.h"

#include "protocol/jid.h"

#define LINE_SIZE 512

int
main(void)
{
	char		line[LINE_SIZE];
	char		expected[JID_SIZE];
	long		total = 0;
	long		lost = 0;
	long		mangled = 0;

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		char	   *tab = strchr(line, '\t');
		Jid			jid;

		if (tab == NULL)
			continue;
		jid = jid_parse(line, tab - line);
		tab[strcspn(tab, "\n")] = '\0';
		snprintf(expected, sizeof(expected), "%s@c.us", tab + 1);
		total++;
		if (jid.kind != JID_PERSON)
			lost++;
		else if (strcmp(jid.text, expected) != 0)
			mangled++;
		else
			continue;
		*tab = '\0';
		printf("%s -> %s\n", line, jid.kind == JID_INVALID ? jid.problem : jid.text);
	}
	printf("%ld spellings: %ld lost, %ld mangled\n", total, lost, mangled);
	return total > 0 && lost + mangled == 0 ? 0 : 1;
}
