// words [ROUNDS = 1]: what C++ programs are made of: strings, ordered and hashed
// maps, sorting with lambdas, virtual calls, smart pointers, a recursive parser.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kernel.h"

namespace {

struct Node {
    virtual ~Node() = default;
    virtual long value(const std::unordered_map<std::string, long> &variables) const = 0;
};

struct Number final : Node {
    explicit Number(long number) : number(number) {}
    long value(const std::unordered_map<std::string, long> &) const override { return number; }
    long number;
};

struct Variable final : Node {
    explicit Variable(std::string name) : name(std::move(name)) {}
    long value(const std::unordered_map<std::string, long> &variables) const override
    {
        auto found = variables.find(name);
        return found == variables.end() ? 0 : found->second;
    }
    std::string name;
};

struct Binary final : Node {
    Binary(char op, std::unique_ptr<Node> left, std::unique_ptr<Node> right)
        : op(op), left(std::move(left)), right(std::move(right)) {}
    long value(const std::unordered_map<std::string, long> &variables) const override
    {
        unsigned long a = left->value(variables), b = right->value(variables);
        return static_cast<long>(op == '+' ? a + b : op == '-' ? a - b : a * b);
    }
    char op;
    std::unique_ptr<Node> left, right;
};

class Parser {
public:
    explicit Parser(std::string_view text) : rest(text) {}

    std::unique_ptr<Node> sum()
    {
        auto left = product();
        while (!rest.empty() && (rest[0] == '+' || rest[0] == '-')) {
            char op = take();
            left = std::make_unique<Binary>(op, std::move(left), product());
        }
        return left;
    }

private:
    std::unique_ptr<Node> product()
    {
        auto left = atom();
        while (!rest.empty() && rest[0] == '*') {
            char op = take();
            left = std::make_unique<Binary>(op, std::move(left), atom());
        }
        return left;
    }

    std::unique_ptr<Node> atom()
    {
        if (rest[0] == '(') {
            take();
            auto inner = sum();
            take();
            return inner;
        }
        std::string word;
        while (!rest.empty() && ((rest[0] >= '0' && rest[0] <= '9') || (rest[0] >= 'a' && rest[0] <= 'z')))
            word += take();
        if (word[0] >= 'a')
            return std::make_unique<Variable>(word);
        return std::make_unique<Number>(std::stol(word));
    }

    char take()
    {
        char c = rest[0];
        rest.remove_prefix(1);
        return c;
    }

    std::string_view rest;
};

std::string expression(std::uint32_t &seed, int depth)
{
    if (depth == 0)
        return next_random(&seed) % 2 ? std::to_string(next_random(&seed) % 1000)
                                      : "variable" + std::string(1, 'a' + next_random(&seed) % 26);
    std::string op(1, "+-*"[next_random(&seed) % 3]);
    return "(" + expression(seed, depth - 1) + op + expression(seed, depth - 1) + ")";
}

std::uint32_t round(std::uint32_t &seed)
{
    std::string text;
    for (int i = 0; i < 4000; i++) {
        text += "word" + std::to_string(next_random(&seed) % 500 * (next_random(&seed) % 3));
        text += i % 9 ? ' ' : '\n';
    }
    std::map<std::string, int> ordered;
    std::unordered_map<std::string, long> hashed;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = text.find_first_of(" \n", at);
        std::string word = text.substr(at, end - at);
        ordered[word]++;
        hashed[word] += static_cast<long>(at);
        at = end + 1;
    }
    std::vector<std::pair<std::string, int>> list(ordered.begin(), ordered.end());
    std::sort(list.begin(), list.end(), [](const auto &a, const auto &b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    std::uint32_t sum = 0;
    for (const auto &[word, count] : list)
        sum = mix(mix(sum, count), static_cast<std::uint32_t>(hashed[word]));

    std::unordered_map<std::string, long> variables;
    for (char c = 'a'; c <= 'z'; c++)
        variables["variable" + std::string(1, c)] = c;
    std::string formula = expression(seed, 9);
    auto tree = Parser(formula).sum();
    for (int i = 0; i < 20; i++) {
        variables["variablea"] = i;
        sum = mix(sum, static_cast<std::uint32_t>(tree->value(variables)));
    }
    return sum;
}

} // namespace

int main(int argc, char **argv)
{
    std::uint32_t seed = 11, sum = 0;

    for (unsigned long rounds = argument(argc, argv, 1, 1); rounds > 0; rounds--)
        sum = mix(sum, round(seed));
    result("words", sum);
    return 0;
}
