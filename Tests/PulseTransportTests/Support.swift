// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import Foundation
import Testing

@testable import PulseTransport

/// No test waits longer than this for something that should happen.
let patience: Int64 = 10_000_000_000

func milliseconds(_ count: Int64) -> Int64 { count * 1_000_000 }

/// Runs the loop until `done` holds; false when the patience is over.
func drive(_ loop: EventLoop, until done: () -> Bool) -> Bool {
  let deadline = Clock.monotonic() + patience
  while !done() {
    let left = deadline - Clock.monotonic()
    if left <= 0 { return false }
    _ = loop.runOnce(timeoutNs: left)
  }
  return true
}

/// Waits until a descriptor is readable; false if it is not in time.
func awaitInput(_ descriptor: Int32, for timeout: Int64 = patience) -> Bool {
  psys_poll_one(descriptor, UInt32(PSYS_READABLE), timeout) & Int32(PSYS_READABLE) != 0
}

/// A value that several threads share.
final class Guarded<Value>: @unchecked Sendable {  // guarded by `mutex`
  private let mutex = Mutex()
  private var stored: Value

  init(_ value: Value) { stored = value }

  var value: Value {
    get { mutex.withLock { stored } }
    set { mutex.withLock { stored = newValue } }
  }

  func change(_ body: (inout Value) -> Void) { mutex.withLock { body(&stored) } }
}

/// Writes down what it is called with.
final class Recorder: EventHandler, @unchecked Sendable {  // used by the thread that drives the loop
  var events: [Readiness] = []
  var fired: [Int] = []
  var timers: [TimerID] = []
  var posts: [Int] = []
  var time: Int64 = 0
  var onEvent: (() -> Void)?
  var onTimer: ((Int) -> Void)?
  var onPost: ((Int) -> Void)?

  override func handle(_ ready: Readiness) {
    events.append(ready)
    onEvent?()
  }
  override func timerFired(_ tag: Int, _ timer: TimerID) {
    fired.append(tag)
    timers.append(timer)
    onTimer?(tag)
  }
  override func posted(_ tag: Int) {
    posts.append(tag)
    onPost?(tag)
  }
}

/// Two connected sockets, closed at the end.
final class SocketPair {
  let first: Int32
  let second: Int32

  init() {
    var a: Int32 = -1
    var b: Int32 = -1
    #expect(psys_socket_pair(&a, &b) == 0)
    first = a
    second = b
  }

  deinit {
    psys_close(first)
    psys_close(second)
  }

  func send(_ text: String = "x") {
    let bytes = Array(text.utf8)
    #expect(psys_send(second, bytes, bytes.count) == Int64(bytes.count))
  }
}

/// A listening socket that answers no further connect: its queue of accepted connections is full.
final class FullListener {
  let listener: Listener
  private var fillers: [Int32] = []

  init(_ address: SocketAddress) throws {
    listener = try Listener(address, backlog: 0)
    for _ in 0..<4 {
      let filler = psys_tcp_socket(address.storage.family)
      var target = listener.address.storage
      _ = psys_connect(filler, &target)
      fillers.append(filler)
    }
  }

  deinit { for filler in fillers { psys_close(filler) } }
}

/// A port of the loopback interface where nobody listens: bound, so that nobody else gets it meanwhile.
final class RefusingPort {
  private let descriptor: Int32
  let port: UInt16

  init() {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
        #expect(bind(descriptor, raw, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0)
      }
    }
    var actual = psys_address()
    #expect(psys_local_address(descriptor, &actual) == 0)
    self.descriptor = descriptor
    port = actual.port
  }

  deinit { psys_close(descriptor) }
  var address: SocketAddress { .loopback(port: port) }
}

let hasIPv6: Bool = (try? Listener(.loopback6(port: 0))) != nil
