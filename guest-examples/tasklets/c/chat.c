/* A chat room of many tasklets. In each round the room tells the news to every
 * member, each thinks about it and answers, and the room makes the next news of
 * the answers. The argument is how many members, and how many rounds. */
#include "text.h"

#define MEMBERS_MAX 32768
#define ROUNDS_MAX 255

struct news {
    uint32_t round, digest;
};

struct answer {
    uint32_t member, digest;
};

/* FNV-1a, a word at a time. */
static uint32_t mix(uint32_t hash, uint32_t word)
{
    return (hash ^ word) * 16777619u;
}

TASKLET_ENTRY(member)
{
    struct news news;
    struct answer answer;
    int32_t hear = tasklet_channel("hear"), speak = tasklet_channel("speak");

    tasklet_argument(&answer.member, sizeof answer.member);
    while (tasklet_receive(hear, &news, sizeof news) >= 0) {
        answer.digest = mix(mix(news.digest, news.round), answer.member);
        if (tasklet_send(speak, &answer, sizeof answer) < 0)
            return;
    }
}

/* The round in which each member has spoken last. */
static uint8_t has_spoken[MEMBERS_MAX];

static void report(int32_t out, uint32_t round, uint32_t voices, uint32_t digest)
{
    struct line line = {0, ""};

    put(&line, "round ");
    put_number(&line, round);
    put(&line, ": ");
    put_number(&line, voices);
    put(&line, " have spoken, digest ");
    put_number(&line, digest);
    say(out, &line);
}

TASKLET_ENTRY(room)
{
    char argument[64] = "";
    const char *text = argument;
    struct news news = {0, 2166136261u};
    uint32_t members, rounds, n;
    int32_t hear = tasklet_channel("hear"), speak = tasklet_channel("speak");
    int32_t out = tasklet_channel("out");

    tasklet_argument(argument, sizeof argument - 1);
    members = number(&text);
    rounds = number(&text);
    if (members > MEMBERS_MAX)
        members = MEMBERS_MAX;
    if (rounds > ROUNDS_MAX)
        rounds = ROUNDS_MAX;
    for (n = 0; n < members; n++)
        if (tasklet_spawn("member", &n, sizeof n) < 0)
            __builtin_trap();
    while (news.round < rounds) {
        uint32_t sum = 0, voices = 0;

        news.round++;
        for (n = 0; n < members; n++)
            tasklet_send(hear, &news, sizeof news);
        for (n = 0; n < members; n++) {
            struct answer answer;

            tasklet_receive(speak, &answer, sizeof answer);
            sum += answer.digest;
            if (answer.member < members && has_spoken[answer.member] != news.round) {
                has_spoken[answer.member] = (uint8_t)news.round;
                voices++;
            }
        }
        /* The sum does not depend on who spoke first. */
        news.digest = sum;
        report(out, news.round, voices, news.digest);
    }
    tasklet_close(hear);
}
