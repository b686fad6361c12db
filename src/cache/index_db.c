/* The database file: opening, making, judging.
 *
 * It is judged before anything of it is used: by its application id and version (another program's,
 * or a later one's, is left as it is), then by quick_check, which reads all of it once. What SQLite
 * calls corrupt or no database, at any of these steps, is moved aside.
 *
 * The file is opened by its path, SQLite knows no other way; whoever may write to the directory
 * could do worse. Its mode is passed on to the log and the shared memory file by SQLite.
 */
#include "cache/index_internal.h"

#include "base/hex.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAMAGED_PREFIX INDEX_NAME ".damaged-"

enum {
    APPLICATION_ID = 0x7461726e, /* "tarn" */
    SCHEMA_VERSION = 1,
    MESSAGE_MAX = 256,
    READ_AHEAD_LEN = 128 << 10, /* what systems read ahead at most, by default */
};

static const char schema[] =
    "BEGIN;"
    "CREATE TABLE entry (id INTEGER PRIMARY KEY, url TEXT NOT NULL, url_hash INTEGER NOT NULL,"
    " content_type TEXT NOT NULL, etag TEXT NOT NULL, content_coding TEXT NOT NULL,"
    " len INTEGER NOT NULL, sha256 BLOB NOT NULL, last_modified INTEGER NOT NULL,"
    " created INTEGER NOT NULL, last_used INTEGER NOT NULL, ttl INTEGER NOT NULL,"
    " uses INTEGER NOT NULL) STRICT;"
    /* an index of the hashes has a sixth of the size of one of the URLs */
    "CREATE INDEX entry_url_hash ON entry (url_hash);"
    /* period: 0 the whole life, or the length of one in seconds */
    "CREATE TABLE total (period INTEGER NOT NULL, start INTEGER NOT NULL, name TEXT NOT NULL,"
    " value INTEGER NOT NULL, PRIMARY KEY (period, start, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = 0x7461726e;"
    "PRAGMA user_version = 1;"
    "COMMIT;";
_Static_assert(APPLICATION_ID == 0x7461726e && SCHEMA_VERSION == 1, "the schema says the same");

enum outcome {
    GOOD,
    DAMAGED,
    REFUSED,
    NO_ROOM, /* or another fault of the disk */
};

/* --- small things --- */

void
index_note(const struct index_notes *notes, const char *format, ...)
{
    char line[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (notes->note)
        notes->note(notes->arg, line);
}

int
index_db_fail(const struct index_db *db, struct error *error)
{
    int code = db->handle ? sqlite3_system_errno(db->handle) : ENOMEM;
    const char *text = db->handle ? sqlite3_errmsg(db->handle) : "cannot be opened";
    int primary = db->handle ? sqlite3_errcode(db->handle) & 0xff : SQLITE_NOMEM;
    if (code && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN || !db->handle))
        return error_set_errno(error, code, "'%s': %s", db->path, text);
    return error_set(error, "'%s': %s", db->path, text);
}

static enum outcome
fail(const struct index_db *db, int code, struct error *error)
{
    index_db_fail(db, error);
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return DAMAGED;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return NO_ROOM;
    default:
        return REFUSED;
    }
}

int
index_db_run(struct index_db *db, enum index_statement statement)
{
    sqlite3_stmt *prepared = db->statements[statement];
    int code = sqlite3_step(prepared);
    sqlite3_reset(prepared);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The integer that a statement of one row gives. */
static int
get_number(struct index_db *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *prepared;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &prepared, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(prepared);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(prepared, 0);
    sqlite3_finalize(prepared);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* --- judging --- */

/* The first thing that is read. */
static int
read_identity(struct index_db *db, int64_t *application, int64_t *version, int64_t *tables)
{
    int code = get_number(db, "PRAGMA application_id", application);
    if (code == SQLITE_OK)
        code = get_number(db, "PRAGMA user_version", version);
    if (code == SQLITE_OK)
        code = get_number(db, "SELECT count(*) FROM sqlite_schema", tables);
    return code;
}

static enum outcome
check_identity(struct index_db *db, bool *is_empty, struct error *error)
{
    int64_t application = 0, version = 0, tables = 0;
    int code = read_identity(db, &application, &version, &tables);
    if (code != SQLITE_OK)
        return fail(db, code, error);
    *is_empty = application == 0 && version == 0 && tables == 0;
    if (*is_empty)
        return GOOD;
    if (application != APPLICATION_ID) {
        error_set(error, "'%s' is a database of another program: nothing was changed", db->path);
        return REFUSED;
    }
    if (version == SCHEMA_VERSION)
        return GOOD;
    error_set(error,
              "'%s' has version %lld, and this program knows version %d: nothing was changed",
              db->path, (long long)version, SCHEMA_VERSION);
    return REFUSED;
}

static enum outcome
check_content(struct index_db *db, struct error *error)
{
    sqlite3_stmt *prepared;
    enum outcome outcome = GOOD;
    int code = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &prepared, NULL);
    if (code != SQLITE_OK)
        return fail(db, code, error);
    code = sqlite3_step(prepared);
    if (code != SQLITE_ROW) {
        outcome = fail(db, code, error);
    } else {
        struct str text = str_from_cstr((const char *)sqlite3_column_text(prepared, 0));
        struct str line = str_cut(&text, '\n');
        if (str_starts_with(line, STR("***"))) /* a heading */
            line = str_cut(&text, '\n');
        line = str_first(line, MESSAGE_MAX);
        outcome = str_eq(line, STR("ok")) ? GOOD : DAMAGED;
        error_set(error, "'%s': %.*s", db->path, STR_ARG(line));
    }
    sqlite3_finalize(prepared);
    return outcome;
}

/* --- opening --- */

static enum outcome
run_script(struct index_db *db, const char *sql, struct error *error)
{
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? GOOD : fail(db, code, error);
}

static enum outcome
prepare_all(struct index_db *db, struct error *error)
{
    static const char *const texts[] = {
#define X(name, sql) sql,
        INDEX_STATEMENT_TABLE(X)
#undef X
    };
    for (unsigned i = 0; i < INDEX_SQL_COUNT; i++) {
        int code = sqlite3_prepare_v3(db->handle, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &db->statements[i], NULL);
        if (code != SQLITE_OK)
            return fail(db, code, error);
    }
    return GOOD;
}

/* `name`: the path, or with SQLITE_OPEN_URI the URI. */
static enum outcome
open_handle(struct index_db *db, const char *name, int flags, struct error *error)
{
    int code = sqlite3_open_v2(name, &db->handle,
                               flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code != SQLITE_OK)
        return fail(db, code, error);
    sqlite3_busy_timeout(db->handle, CACHE_INDEX_BUSY_MS);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return GOOD;
}

/* SQLite would make it readable for all. */
static enum outcome
make_file(const struct index_db *db, struct error *error)
{
    struct stat info;
    int fd = open(db->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        close(fd);
        return GOOD;
    }
    if (errno != EEXIST)
        error_set_errno(error, errno, "cannot make '%s'", db->path);
    else if (lstat(db->path, &info) != 0 || !S_ISREG(info.st_mode))
        error_set(error, "'%s' is not a regular file", db->path);
    else
        return GOOD;
    return REFUSED;
}

/* The whole file is read soon, page by page in the order of its trees. From a disk that takes many
 * times as long as from the front to the back, so that is begun now. */
static void
read_ahead(const struct index_db *db)
{
    struct stat info;
    int fd = open(db->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    if (fstat(fd, &info) == 0)
        for (off_t at = 0; at < info.st_size; at += READ_AHEAD_LEN)
            posix_fadvise(fd, at, READ_AHEAD_LEN, POSIX_FADV_WILLNEED); /* in pieces: it is cut */
    close(fd);
}

/* The order matters: nothing is changed before the identity is known. `alone`: without the file of
 * memory that is shared with readers, who are kept out then. */
static enum outcome
open_checked(struct index_db *db, bool alone, bool *is_fresh, struct error *error)
{
    char settings[256];
    snprintf(settings, sizeof settings,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cell_size_check = ON;"
             "PRAGMA cache_size = -%d; PRAGMA journal_size_limit = %d;",
             CACHE_INDEX_PAGES_KIB, CACHE_INDEX_WAL_MAX);
    enum outcome outcome = make_file(db, error);
    read_ahead(db); /* before SQLite has locks, which closing the file would drop */
    if (outcome == GOOD)
        outcome = open_handle(db, db->path, SQLITE_OPEN_READWRITE, error);
    if (outcome == GOOD && alone)
        outcome = run_script(db, "PRAGMA locking_mode = EXCLUSIVE", error);
    if (outcome == GOOD)
        outcome = check_identity(db, is_fresh, error);
    if (outcome == GOOD && !*is_fresh)
        outcome = check_content(db, error);
    if (outcome == GOOD)
        outcome = run_script(db, settings, error);
    if (outcome == GOOD && *is_fresh)
        outcome = run_script(db, schema, error);
    if (outcome == GOOD)
        outcome = prepare_all(db, error);
    if (outcome != GOOD)
        index_db_close(db, false);
    return outcome;
}

static int
set_path(struct index_db *db, const char *dir, struct error *error)
{
    *db = (struct index_db){0};
    int len = snprintf(db->path, sizeof db->path, "%s/%s", dir, INDEX_NAME);
    if (len < 0 || (size_t)len >= sizeof db->path)
        return error_set(error, "the path '%s' is too long", dir);
    return 0;
}

void
index_db_close(struct index_db *db, bool checkpoint)
{
    for (unsigned i = 0; i < INDEX_SQL_COUNT; i++) {
        sqlite3_finalize(db->statements[i]);
        db->statements[i] = NULL;
    }
    if (db->handle && checkpoint) {
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
    sqlite3_close(db->handle);
    db->handle = NULL;
}

/* --- moving aside --- */

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)b, *(char *const *)a);
}

/* Those that are kept: their dates are their order. A log goes with its database. */
static void
remove_old_damaged(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    char *names[64];
    size_t count = 0;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *entry; count < 64 && (entry = readdir(dir));) {
        struct str name = str_from_cstr(entry->d_name);
        if (str_starts_with(name, STR(DAMAGED_PREFIX)) && !str_ends_with(name, STR("-wal")) &&
            (names[count] = strdup(entry->d_name)))
            count++;
    }
    closedir(dir);
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        char log[NAME_MAX + sizeof "-wal"];
        snprintf(log, sizeof log, "%s-wal", names[i]);
        if (i >= CACHE_INDEX_DAMAGED_KEPT) {
            unlinkat(dir_fd, names[i], 0);
            unlinkat(dir_fd, log, 0);
        }
        free(names[i]);
    }
}

/* The log first: a log alone does no harm, a database with the log of another one would. */
static int
move_aside(const struct index_db *db, const char *dir, const struct index_notes *notes,
           const struct error *why, struct error *error)
{
    char name[sizeof DAMAGED_PREFIX + 32], log[sizeof name + sizeof "-wal"];
    struct tm now;
    time_t now_s = time(NULL);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(error, errno, "cannot open '%s'", dir);
    strftime(name, sizeof name, DAMAGED_PREFIX "%Y%m%d-%H%M%S", gmtime_r(&now_s, &now));
    snprintf(log, sizeof log, "%s-wal", name);
    int result = 0;
    if (renameat(fd, INDEX_NAME "-wal", fd, log) != 0 && errno != ENOENT)
        result = -1;
    if (result == 0 && renameat(fd, INDEX_NAME, fd, name) != 0)
        result = -1;
    if (result < 0) {
        error_set_errno(error, errno, "'%s' is damaged and cannot be moved aside", db->path);
    } else {
        unlinkat(fd, INDEX_NAME "-shm", 0);
        remove_old_damaged(fd);
        index_note(notes,
                   "the cache's index is damaged (%s): moved aside to %s, the cache begins"
                   " empty",
                   why->text, name);
    }
    close(fd);
    return result;
}

/* --- the interface --- */

int
index_db_open(struct index_db *db, const char *dir, const struct index_notes *notes, bool *is_fresh,
              struct error *error)
{
    struct error why;
    *is_fresh = false;
    if (set_path(db, dir, error) < 0)
        return -1;
    bool alone = false;
    enum outcome outcome = open_checked(db, alone, is_fresh, error);
    if (outcome == NO_ROOM) { /* even a full disk has room for less */
        alone = true;
        outcome = open_checked(db, alone, is_fresh, error);
    }
    if (outcome == DAMAGED) {
        why = *error;
        if (move_aside(db, dir, notes, &why, error) < 0)
            return -1;
        outcome = open_checked(db, alone, is_fresh, error);
    }
    return outcome == GOOD ? 0 : -1;
}

/* --- only to read --- */

static enum outcome
open_to_read(struct index_db *db, const char *name, int flags, struct error *error)
{
    bool is_empty = false;
    enum outcome outcome = open_handle(db, name, SQLITE_OPEN_READONLY | flags, error);
    if (outcome == GOOD)
        outcome = check_identity(db, &is_empty, error);
    if (outcome == GOOD && is_empty) {
        error_set(error, "'%s' is empty", db->path);
        outcome = REFUSED;
    }
    if (outcome == GOOD)
        outcome = prepare_all(db, error);
    if (outcome != GOOD)
        index_db_close(db, false);
    return outcome;
}

/* Readers and writers share memory in a file beside the database. Where it cannot be made, on a
 * read-only file system say, the database can be read all the same while nobody writes to it. */
static enum outcome
open_unchanging(struct index_db *db, struct error *error)
{
    char uri[3 * INDEX_PATH_MAX + 32];
    size_t len = (size_t)snprintf(uri, sizeof uri, "file:");
    for (const char *from = db->path; *from; from++) {
        if (strchr("%?#", *from))
            len += percent_put(uri + len, *from);
        else
            uri[len++] = *from;
    }
    snprintf(uri + len, sizeof uri - len, "?immutable=1");
    return open_to_read(db, uri, SQLITE_OPEN_URI, error);
}

int
index_db_open_read_only(struct index_db *db, const char *dir, struct error *error)
{
    char log[INDEX_PATH_MAX + sizeof "-wal"];
    if (set_path(db, dir, error) < 0)
        return -1;
    if (access(db->path, R_OK) != 0)
        return error_set_errno(error, errno, "cannot read '%s'", db->path);
    snprintf(log, sizeof log, "%s-wal", db->path);
    bool can_share = access(dir, W_OK) == 0 || access(log, F_OK) == 0;
    enum outcome outcome =
        can_share ? open_to_read(db, db->path, 0, error) : open_unchanging(db, error);
    return outcome == GOOD ? 0 : -1;
}
