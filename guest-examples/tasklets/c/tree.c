/* All ways to put n queens on a board of n times n, each looked for by a tasklet
 * of its own. Where there is a choice, a tasklet forks: its copy has the board as
 * it is, and goes one way while it looks for others. The argument is n. */
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

/* Fills the board from where it is. Behind a fork there are two of this tasklet:
 * the copy has put a queen down and goes on a row below, the original looks for
 * other columns. In the end each tells how many more branches there are for what
 * it has done, and whether it is a leaf. */
static void walk(struct board *board)
{
    int32_t told[2] = {-1, 0};
    int goes_down = 1;

    while (goes_down && board->rows < board->size) {
        uint8_t column;

        goes_down = 0;
        for (column = 0; column < board->size && !goes_down; column++) {
            int64_t copy;

            if (!is_safe(board, column))
                continue;
            copy = tasklet_fork();
            if (copy < 0)
                __builtin_trap();
            if (copy == 0) {
                board->column[board->rows++] = column;
                told[0] = -1;
                goes_down = 1;
            } else {
                told[0]++;
            }
        }
    }
    if (board->rows == board->size) {
        struct line line = {0, ""};
        uint8_t row;

        for (row = 0; row < board->size; row++)
            put_number(&line, board->column[row]);
        say(tasklet_channel("out"), &line);
        told[1] = 1;
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
    if (tasklet_fork() == 0) {
        walk(&board);
        return;
    }
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
