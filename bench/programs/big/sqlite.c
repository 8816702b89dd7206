/* sqlite [ROWS = 1000]: fills tables of a database in memory, and asks them in
 * the ways that databases are asked: by key, by index, joined, grouped, sorted,
 * by pattern, recursively. */
#include <sqlite3.h>
#include <stdio.h>

#include "kernel.h"

static uint32_t sum;

static int add_row(void *unused, int columns, char **values, char **names)
{
    (void)unused, (void)names;
    for (int i = 0; i < columns; i++)
        for (const char *text = values[i] ? values[i] : "null"; *text; text++)
            sum = mix(sum, (unsigned char)*text);
    return 0;
}

static void ask(sqlite3 *db, const char *sql)
{
    char *error = NULL;

    if (sqlite3_exec(db, sql, add_row, NULL, &error) != SQLITE_OK) {
        say(2, error ? error : "failed");
        exit(1);
    }
}

static void fill(sqlite3 *db, unsigned long rows)
{
    static const char *const places[] = {"Bergen", "Cadiz", "Delft", "Essen", "Fez", "Ghent"};
    uint32_t seed = 10;
    sqlite3_stmt *insert;

    ask(db, "CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT, place TEXT, age INTEGER, weight REAL);"
            "CREATE TABLE letters(sender INTEGER, receiver INTEGER, day INTEGER, body TEXT);"
            "CREATE INDEX by_sender ON letters(sender); BEGIN");
    sqlite3_prepare_v2(db, "INSERT INTO people VALUES(?1, ?2, ?3, ?4, ?5)", -1, &insert, NULL);
    for (unsigned long i = 0; i < rows; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%08x", (unsigned)next_random(&seed));
        sqlite3_bind_int64(insert, 1, i);
        sqlite3_bind_text(insert, 2, name, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(insert, 3, places[next_random(&seed) % 6], -1, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 4, next_random(&seed) % 90);
        sqlite3_bind_double(insert, 5, next_random(&seed) % 900 / 10.0);
        sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    sqlite3_prepare_v2(db, "INSERT INTO letters VALUES(?1, ?2, ?3, 'dear ' || ?1 || ', it is day ' || ?3)", -1,
                       &insert, NULL);
    for (unsigned long i = 0; i < 3 * rows; i++) {
        sqlite3_bind_int64(insert, 1, next_random(&seed) % rows);
        sqlite3_bind_int64(insert, 2, next_random(&seed) % rows);
        sqlite3_bind_int64(insert, 3, next_random(&seed) % 365);
        sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    ask(db, "COMMIT");
}

int main(int argc, char **argv)
{
    sqlite3 *db;

    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        return 1;
    fill(db, argument(argc, argv, 1, 1000));
    ask(db, "SELECT place, count(*), avg(age), max(weight) FROM people GROUP BY place ORDER BY place");
    ask(db, "SELECT p.name, count(*) AS n FROM people p JOIN letters l ON l.sender = p.id"
            " WHERE p.age > 30 GROUP BY p.id ORDER BY n DESC, p.name LIMIT 50");
    ask(db, "SELECT a.place, b.place, sum(l.day) FROM letters l JOIN people a ON a.id = l.sender"
            " JOIN people b ON b.id = l.receiver GROUP BY 1, 2 ORDER BY 3 DESC");
    ask(db, "SELECT count(*), sum(length(body)) FROM letters WHERE body LIKE '%7, it is day 1%'");
    ask(db, "CREATE INDEX by_name ON people(name, age);"
            "SELECT name FROM people WHERE name BETWEEN 'n4' AND 'n5' ORDER BY name LIMIT 100");
    ask(db, "UPDATE people SET weight = weight + 1, name = upper(name) WHERE age % 3 = 0;"
            "DELETE FROM letters WHERE day % 5 = 2; SELECT count(*), total(day) FROM letters");
    ask(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
            " SELECT sum(i), group_concat(i % 7, '') FROM n");
    ask(db, "SELECT place, age, rank() OVER (PARTITION BY place ORDER BY age DESC, id) AS r FROM people"
            " ORDER BY r, place LIMIT 60");
    sqlite3_close(db);
    result("sqlite", sum);
    return 0;
}
