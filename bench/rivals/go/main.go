// Goroutines on one thread; see README.md for what is printed.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	if err != nil {
		panic(err)
	}
	return n
}

// Nanoseconds of CPU time of this process.
func cpu() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func report(name string, begun int64, count int) {
	fmt.Printf("%s %.1f\n", name, float64(cpu()-begun)/float64(count))
}

// Memory of this process and the page tables for it, in bytes.
func memory() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	var kib int64
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "VmPTE:") {
			n, err := strconv.ParseInt(strings.Fields(line)[1], 10, 64)
			if err != nil {
				panic(err)
			}
			kib += n
		}
	}
	return 1024 * kib
}

func times(turns, messages, spawns int) {
	done := make(chan bool)
	begun := cpu()
	for i := 0; i < 2; i++ {
		go func() {
			for n := 0; n < turns/2; n++ {
				runtime.Gosched()
			}
			done <- true
		}()
	}
	<-done
	<-done
	report("turn", begun, turns/2*2)

	there, back := make(chan uint64), make(chan uint64)
	begun = cpu()
	go func() {
		for n := 0; n < messages/2; n++ {
			back <- <-there
		}
	}()
	go func() {
		for n := 0; n < messages/2; n++ {
			there <- uint64(n)
			<-back
		}
		done <- true
	}()
	<-done
	report("message", begun, messages/2*2)

	begun = cpu()
	for n := 0; n < spawns; n++ {
		go func() { done <- true }()
		<-done
	}
	report("spawn", begun, spawns)
}

func live(count int) {
	never := make(chan uint64)
	before := memory()
	for n := 0; n < count; n++ {
		go func() { <-never }()
	}
	for n := 0; n < 3; n++ {
		runtime.Gosched()
	}
	fmt.Printf("memory %d\n", (memory()-before)/int64(count))
}

func main() {
	runtime.GOMAXPROCS(1)
	switch os.Args[1] {
	case "times":
		times(number(2), number(3), number(4))
	case "memory":
		live(number(2))
	default:
		panic("`times TURNS MESSAGES SPAWNS` or `memory COUNT`")
	}
}
