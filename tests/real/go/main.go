// Goroutines, channels, maps, panics, a garbage collector, files, and much of the library.
package main

import (
	"bufio"
	"compress/gzip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"regexp"
	"sort"
	"strings"
	"sync"
	"text/template"
	"time"
)

type record struct {
	I int     `json:"i"`
	S string  `json:"s"`
	F float64 `json:"f"`
}

type versions []int

func (v versions) Len() int           { return len(v) }
func (v versions) Less(i, j int) bool { return v[i] < v[j] }
func (v versions) Swap(i, j int)      { v[i], v[j] = v[j], v[i] }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

// sums has workers add up numbers that come to them by a channel, and waits a little in between.
func sums(workers, numbers int) int {
	work, done := make(chan int), make(chan int)
	var group sync.WaitGroup
	for w := 0; w < workers; w++ {
		group.Add(1)
		go func() {
			defer group.Done()
			sum := 0
			for n := range work {
				sum += n
				if n%100 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			done <- sum
		}()
	}
	go func() {
		for n := 1; n <= numbers; n++ {
			work <- n
		}
		close(work)
		group.Wait()
		close(done)
	}()
	total := 0
	for sum := range done {
		total += sum
	}
	return total
}

func refused() (why string) {
	defer func() { why = fmt.Sprint(recover()) }()
	var none []int
	return fmt.Sprint(none[len(os.Args)+7])
}

// packed goes through the library: JSON, a digest, compression and back.
func packed(count int) (string, int, bool) {
	var records []record
	for i := 0; i < count; i++ {
		records = append(records, record{i, strings.Repeat(string(rune('a'+i%26)), i%7), float64(i) / 8})
	}
	text, err := json.Marshal(records)
	check(err)
	var small bytes.Buffer
	zip := gzip.NewWriter(&small)
	_, err = zip.Write(text)
	check(err)
	check(zip.Close())
	size := small.Len()
	unzip, err := gzip.NewReader(&small)
	check(err)
	again, err := io.ReadAll(unzip)
	check(err)
	return fmt.Sprintf("%x", sha256.Sum256(text)), size, bytes.Equal(text, again)
}

func lines(name string, count int) int {
	file, err := os.Create(name)
	check(err)
	for i := 0; i < count; i++ {
		fmt.Fprintf(file, "line %d\n", i)
	}
	check(file.Close())
	file, err = os.Open(name)
	check(err)
	defer file.Close()
	scanner, total := bufio.NewScanner(file), 0
	for scanner.Scan() {
		total += len(scanner.Text())
	}
	check(scanner.Err())
	return total
}

func main() {
	fmt.Println(fib(18), sums(8, 1000), refused())
	fmt.Println(packed(300))
	v := versions{}
	for i := 1; i <= 60; i++ {
		v = append(v, i*7919%61)
	}
	sort.Sort(v)
	fmt.Println(v[:8], new(big.Int).Exp(big.NewInt(3), big.NewInt(200), nil))
	counts := map[string]int{}
	for i := 0; i < 5000; i++ {
		counts[fmt.Sprintf("key %d", i*7%1000)] += i
	}
	fmt.Println(len(counts), counts["key 7"], lines("lines.txt", 200))
	fmt.Println(regexp.MustCompile(`o(.)?`).FindAllString("Hello World foo", -1))
	parsed := template.Must(template.New("t").Parse("{{range .}}<{{.}}>{{end}}\n"))
	check(parsed.Execute(os.Stdout, v[:5]))
	var garbage [][]byte
	for i := 0; i < 2000; i++ {
		garbage = append(garbage[len(garbage)/2:], make([]byte, 10000))
	}
	fmt.Println(len(garbage[0]))
	os.Exit(6)
}
