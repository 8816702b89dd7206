/* nbody [STEPS = 1000]: bodies that attract each other; floating point in a
 * handful of registers, with divisions and square roots. */
#include "kernel.h"

enum { BODIES = 5 };
struct body {
    double x, y, z, vx, vy, vz, mass;
};
static struct body bodies[BODIES];

static void advance(double dt)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            struct body *a = &bodies[i], *b = &bodies[j];
            double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            double square = dx * dx + dy * dy + dz * dz + 0.01;
            double pull = dt / (square * __builtin_sqrt(square));
            a->vx -= dx * b->mass * pull;
            a->vy -= dy * b->mass * pull;
            a->vz -= dz * b->mass * pull;
            b->vx += dx * a->mass * pull;
            b->vy += dy * a->mass * pull;
            b->vz += dz * a->mass * pull;
        }
    for (int i = 0; i < BODIES; i++) {
        bodies[i].x += dt * bodies[i].vx;
        bodies[i].y += dt * bodies[i].vy;
        bodies[i].z += dt * bodies[i].vz;
    }
}

int main(int argc, char **argv)
{
    uint32_t seed = 5, sum = 0;

    for (int i = 0; i < BODIES; i++) {
        double *field = &bodies[i].x;
        for (int k = 0; k < 6; k++)
            field[k] = (int)(next_random(&seed) % 2001 - 1000) / 1000.0;
        bodies[i].mass = 1 + i;
    }
    for (unsigned long step = argument(argc, argv, 1, 1000); step > 0; step--)
        advance(0.001);
    for (int i = 0; i < BODIES; i++)
        sum = mix_double(mix_double(sum, bodies[i].x), bodies[i].vy);
    result("nbody", sum);
    return 0;
}
