// Go's net package with a goroutine per connection: goroutines PORT SOCKET.
//
// What a good engineer would write in Go. Like the other peers it keeps no promise: no journal, no
// limits, no timeouts but that of a start.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	firstIMEI  = 860000000000000
	devices    = 20000
	header     = 23
	longest    = 99 // no device of the bench sends more
	ackTimeout = 10 * time.Second
)

type imei [15]byte

// device is a known device: where it is registered, and who waits for its result.
type device struct {
	imei      imei
	lock      sync.Mutex
	link      net.Conn
	confirmed chan struct{}
}

var known = make(map[imei]*device, devices)

func (d *device) register(link net.Conn) {
	d.lock.Lock()
	d.link = link
	d.lock.Unlock()
}

func (d *device) release(link net.Conn) {
	d.lock.Lock()
	if d.link == link {
		d.link = nil
	}
	d.lock.Unlock()
}

func (d *device) settle() {
	d.lock.Lock()
	confirmed := d.confirmed
	d.confirmed = nil
	d.lock.Unlock()
	if confirmed != nil {
		confirmed <- struct{}{}
	}
}

// start sends the command and waits for the device's result; it returns the status for the caller.
func (d *device) start(seconds int) string {
	confirmed := make(chan struct{}, 1)
	d.lock.Lock()
	link := d.link
	if link != nil {
		d.confirmed = confirmed
	}
	d.lock.Unlock()
	if link == nil {
		return "404"
	}
	fmt.Fprintf(link, "026000%sQD%03d", d.imei[:], seconds)
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	select {
	case <-confirmed:
		return "200"
	case <-timeout.C:
		return "408"
	}
}

// session is one device connection.
type session struct {
	link   net.Conn
	device *device
}

// answer appends the answer to one frame; false: the connection is of no use.
func (s *session) answer(out, frame []byte) ([]byte, bool) {
	switch string(frame[21:23]) {
	case "TN":
		if s.device != nil {
			out = append(append(out, "035200"...), frame[6:header]...)
			return append(out, "400-500-5620"...), true
		}
		return out, true
	case "HT":
		s.device = known[imei(frame[6:21])]
		if s.device == nil {
			return out, false
		}
		s.device.register(s.link)
	case "QD":
		if s.device == nil {
			return out, true
		}
		s.device.settle()
	default:
		return out, true
	}
	return append(append(out, "023200"...), frame[6:header]...), true
}

// cut answers all whole frames in data; it returns the answers and how much of data was used.
func (s *session) cut(out, data []byte) ([]byte, int, bool) {
	start := 0
	for start < len(data) {
		if data[start] == '1' { // a heartbeat
			start++
			continue
		}
		if len(data)-start < 3 {
			break
		}
		size := int(data[start]-'0')*100 + int(data[start+1]-'0')*10 + int(data[start+2]-'0')
		if size < header || size > longest {
			return out, start, false
		}
		if len(data)-start < size {
			break
		}
		var good bool
		if out, good = s.answer(out, data[start:start+size]); !good {
			return out, start, false
		}
		start += size
	}
	return out, start, true
}

func serveDevice(link net.Conn) {
	s := session{link: link}
	defer func() {
		if s.device != nil {
			s.device.release(link)
		}
		link.Close()
	}()
	var input [256]byte
	var output [600]byte
	held := 0
	for {
		received, err := link.Read(input[held:])
		if err != nil {
			return
		}
		if received == 1 && held == 0 && input[0] == '1' {
			continue
		}
		size := held + received
		answers, used, good := s.cut(output[:0], input[:size])
		if !good {
			return
		}
		held = copy(input[:], input[used:size])
		if len(answers) > 0 {
			if _, err := link.Write(answers); err != nil {
				return
			}
		}
	}
}

// serveCaller obeys lines like command{"imei":"...","type":"start","long":"..."}.
func serveCaller(caller net.Conn) {
	defer caller.Close()
	lines := bufio.NewReader(caller)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var request struct{ Imei, Type, Long string }
		err = json.Unmarshal(bytes.TrimPrefix(line, []byte("command")), &request)
		if err != nil || len(request.Imei) != len(imei{}) {
			return
		}
		status := "300"
		if d := known[imei([]byte(request.Imei))]; d != nil {
			seconds, _ := strconv.Atoi(request.Long)
			status = d.start(seconds)
		}
		reply, _ := json.Marshal(map[string]string{
			"status": status, "imei": request.Imei, "type": request.Type,
		})
		caller.Write(append(reply, '\n'))
	}
}

func accept(door net.Listener, serve func(net.Conn)) {
	for {
		if link, err := door.Accept(); err == nil {
			go serve(link)
		}
	}
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: goroutines PORT SOCKET")
	}
	for i := range devices {
		d := &device{}
		copy(d.imei[:], fmt.Sprintf("%015d", firstIMEI+i))
		known[d.imei] = d
	}
	quiet := net.ListenConfig{KeepAlive: -1} // no other server here sends keep-alives
	door, err := quiet.Listen(context.Background(), "tcp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	os.Remove(os.Args[2])
	callers, err := net.Listen("unix", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	go accept(callers, serveCaller)
	accept(door, serveDevice)
}
