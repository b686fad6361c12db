/* dir: walks a directory into a member list.
 *
 * Every regular file and directory below it becomes a member, dot files included (who is public is
 * decided at rendering). Symbolic links are followed while what they stand for, links on the way
 * resolved, lies inside the real path of the root; one that leaves it, that dangles, or that leads
 * back into a directory it stands in is skipped with a warning. So is a file that cannot be read,
 * and what is neither file nor directory; but of scripts (script_path.h) that is an error.
 * Everything is opened relative to the directory it was found in, and a link is judged by the file
 * it opened, so a tree that changes meanwhile cannot lead outside. Bounds: SITE_DEPTH_MAX,
 * SITE_PATH_MAX, SITE_LINK_DEPTH_MAX, SITE_MEMBERS_MAX.
 */
#ifndef TARN_SITE_DIR_H
#define TARN_SITE_DIR_H

#include "site/member.h"

/* Adds what lies below `path` and finishes the list. Members get disk_path and identity, fd -1. */
int dir_read(const char *path, struct member_list *members, struct error *error) MUST_USE;

#endif
