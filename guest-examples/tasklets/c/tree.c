/* All ways to put n queens on a board of n times n, each looked for by a tasklet
 * of its own. Where there is a choice, one is spawned for every way to go on. The
 * argument is n. */
#include "text.h"

#define SIZE_MAX_ 12

/* A board, filled up to a row. */
struct board {
    uint8_t size, rows, column[SIZE_MAX_];
};

static int is_safe(const struct board *board, uint8_t column)
{
    int row;

    for (row = 0; row < board->rows; row++) {
        int across = column - board->column[row], down = board->rows - row;
        if (across == 0 || across == down || across == -down)
            return 0;
    }
    return 1;
}

TASKLET_ENTRY(branch)
{
    struct board board;
    uint8_t column;
    /* How many branches there are more than before, and whether it is a leaf. */
    int32_t told[2] = {-1, 0};

    tasklet_argument(&board, sizeof board);
    if (board.rows == board.size) {
        struct line line = {0, ""};

        for (column = 0; column < board.size; column++)
            put_number(&line, board.column[column]);
        say(tasklet_channel("out"), &line);
        told[1] = 1;
    }
    for (column = 0; board.rows < board.size && column < board.size; column++) {
        struct board next = board;

        if (!is_safe(&board, column))
            continue;
        next.column[next.rows++] = column;
        if (tasklet_spawn("branch", &next, sizeof next) < 0)
            __builtin_trap();
        told[0]++;
    }
    tasklet_send(tasklet_channel("told"), told, sizeof told);
}

TASKLET_ENTRY(tree)
{
    char argument[8] = "";
    const char *text = argument;
    struct board board = {0, 0, {0}};
    struct line line = {0, ""};
    int32_t branches = 1, leaves = 0, tasklets = 0;

    tasklet_argument(argument, sizeof argument - 1);
    board.size = (uint8_t)number(&text);
    if (board.size > SIZE_MAX_)
        board.size = SIZE_MAX_;
    tasklet_spawn("branch", &board, sizeof board);
    while (branches > 0) {
        int32_t told[2];

        tasklet_receive(tasklet_channel("told"), told, sizeof told);
        branches += told[0];
        leaves += told[1];
        tasklets++;
    }
    put_number(&line, (uint64_t)leaves);
    put(&line, " solutions, found by ");
    put_number(&line, (uint64_t)tasklets);
    put(&line, " tasklets");
    say(tasklet_channel("out"), &line);
}
