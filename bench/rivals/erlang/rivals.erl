%% Erlang's processes on one scheduler; see README.md for what is printed.
-module(rivals).
-export([main/1]).

main(["times", Turns, Messages, Spawns]) ->
    turns(list_to_integer(Turns) div 2),
    messages(list_to_integer(Messages) div 2),
    spawns(list_to_integer(Spawns)),
    halt(0);
main(["memory", Count]) ->
    live(list_to_integer(Count)),
    halt(0).

%% CPU time of this process in milliseconds.
cpu() ->
    {Total, _} = statistics(runtime),
    Total.

report(Name, Begun, Count) ->
    io:format("~s ~.1f~n", [Name, (cpu() - Begun) * 1.0e6 / Count]).

turns(Each) ->
    Begun = cpu(),
    Yields = fun() -> yields(Each) end,
    All = [spawn_monitor(Yields) || _ <- [1, 2]],
    [receive {'DOWN', Monitor, process, _, normal} -> ok end || {_, Monitor} <- All],
    report("turn", Begun, 2 * Each).

yields(0) -> ok;
yields(Left) -> erlang:yield(), yields(Left - 1).

messages(Each) ->
    Begun = cpu(),
    Pong = spawn(fun() -> pong(Each) end),
    {_, Monitor} = spawn_monitor(fun() -> ping(Pong, Each) end),
    receive {'DOWN', Monitor, process, _, normal} -> ok end,
    report("message", Begun, 2 * Each).

ping(_, 0) -> ok;
ping(Pong, Left) ->
    Pong ! {self(), Left},
    receive Left -> ping(Pong, Left - 1) end.

pong(0) -> ok;
pong(Left) -> receive {Ping, Message} -> Ping ! Message, pong(Left - 1) end.

spawns(Count) ->
    Begun = cpu(),
    spawn_each(Count),
    report("spawn", Begun, Count).

spawn_each(0) -> ok;
spawn_each(Left) ->
    {_, Monitor} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Monitor, process, _, normal} -> ok end,
    spawn_each(Left - 1).

live(Count) ->
    Before = memory(),
    All = [spawn(fun() -> receive stop -> ok end end) || _ <- lists:seq(1, Count)],
    erlang:yield(),
    io:format("memory ~b~n", [(memory() - Before) div length(All)]).

%% Memory of this process and the page tables for it, in bytes.
memory() ->
    {ok, Text} = file:read_file("/proc/self/status"),
    Lines = string:split(binary_to_list(Text), "\n", all),
    1024 * lists:sum([kib(Line) || Line <- Lines]).

kib("VmRSS:" ++ Rest) -> kib_number(Rest);
kib("VmPTE:" ++ Rest) -> kib_number(Rest);
kib(_) -> 0.

kib_number(Text) ->
    {Number, _} = string:to_integer(string:trim(Text)),
    Number.
