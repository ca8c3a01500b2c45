// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import Foundation
import Testing

@testable import PulseTransport

@Suite struct MutexTests {
  @Test func excludesOtherThreads() throws {
    let mutex = Mutex()
    nonisolated(unsafe) var count = 0
    let threads = try (0..<4).map { _ in
      try Thread.start(name: "count") { for _ in 0..<10_000 { mutex.withLock { count += 1 } } }
    }
    for thread in threads { thread.join() }
    #expect(count == 40_000)
  }

  @Test func tryLockFailsWhileHeld() throws {
    let mutex = Mutex()
    mutex.lock()
    let taken = Guarded(true)
    try Thread.start(name: "try") { taken.value = mutex.tryLock() }.join()
    #expect(!taken.value)
    mutex.unlock()
    #expect(mutex.tryLock())
    mutex.unlock()
  }

  @Test func timedWaitEndsAtItsDeadline() {
    let mutex = Mutex()
    let condition = Condition()
    let start = Clock.monotonic()
    mutex.lock()
    var inTime = true
    while inTime { inTime = condition.wait(mutex, untilNs: start + milliseconds(20)) }
    mutex.unlock()
    #expect(Clock.monotonic() - start >= milliseconds(20))
    #expect(Clock.monotonic() - start < patience)
    mutex.lock()
    #expect(!condition.wait(mutex, untilNs: -5))
    mutex.unlock()
  }

  @Test func signalAndBroadcastWake() throws {
    let mutex = Mutex()
    let condition = Condition()
    nonisolated(unsafe) var turn = 0
    let threads = try (0..<3).map { _ in
      try Thread.start(name: "wait") {
        mutex.lock()
        while turn == 0 { condition.wait(mutex) }
        mutex.unlock()
      }
    }
    mutex.lock()
    turn = 1
    condition.signal()
    condition.broadcast()
    mutex.unlock()
    for thread in threads { thread.join() }
  }
}

@Suite struct ThreadTests {
  @Test func blocksAllSignalsAndHasItsName() throws {
    let seen = Guarded<(blocked: Bool, name: String)>((false, ""))
    let outside = pthread_self()
    var before = sigset_t()
    var onlyOne = sigset_t()
    sigemptyset(&onlyOne)
    sigaddset(&onlyOne, SIGUSR2)
    pthread_sigmask(SIG_SETMASK, &onlyOne, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let thread = try Thread.start(name: "a long name of a thread") {
      var mask = sigset_t()
      pthread_sigmask(SIG_SETMASK, nil, &mask)
      let name = (try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)) ?? ""
      let blocked = [SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGALRM].allSatisfy { sigismember(&mask, $0) == 1 }
      seen.value = (blocked && pthread_equal(outside, pthread_self()) == 0, name)
    }
    thread.join()
    #expect(seen.value.blocked)
    #expect(seen.value.name == "a long name of \n")
    var mask = sigset_t()
    pthread_sigmask(SIG_SETMASK, nil, &mask)
    let own = [sigismember(&mask, SIGUSR1), sigismember(&mask, SIGUSR2)]
    #expect(own == [0, 1], "the creator's own mask is as before")
  }

  @Test func detachedThreadRuns() throws {
    let loop = try EventLoop()
    let recorder = Recorder()
    try Thread.startDetached(name: "detached") { loop.post(recorder, tag: 7) }
    #expect(drive(loop) { recorder.posts == [7] })
  }

  @Test func impossibleStackIsAnError() {
    #expect(throws: TransportError.self) { try Thread.start(name: "huge", stackSize: 1 << 60) {}.join() }
  }
}

@Suite struct ClockTests {
  @Test func runsForward() {
    let first = Clock.monotonic()
    #expect(Clock.monotonic() >= first)
    #expect(abs(Double(Clock.realtime()) / 1e9 - Date().timeIntervalSince1970) < 5)
  }

  @Test func deadlineNeverOverflows() {
    #expect(Clock.deadline(5, after: 7) == 12)
    #expect(Clock.deadline(5, after: -1) == .max)
    #expect(Clock.deadline(5, after: .max) == .max)
  }

  @Test func numbersAreReadInTheCLocale() {
    var used = 0
    #expect(psys_strtod("1.5e3x", &used) == 1500)
    #expect(used == 5)
    _ = psys_strtod("x", &used)
    #expect(used == 0)
  }
}

@Suite struct SecureRandomTests {
  @Test func bitsAreEvenlySpread() {
    let random = SecureRandom()
    var ones = [Int](repeating: 0, count: 32)
    let draws = 20_000
    var seen = Set<UInt32>()
    for _ in 0..<draws {
      let word = random.next32()
      seen.insert(word)
      for bit in 0..<32 where word >> UInt32(bit) & 1 == 1 { ones[bit] += 1 }
    }
    // Six standard deviations around half.
    let slack = 6 * Int(Double(draws).squareRoot() / 2)
    for count in ones { #expect(abs(count - draws / 2) < slack) }
    #expect(seen.count > draws - 10)
  }

  @Test func mixedSizesCrossTheRefill() {
    let random = SecureRandom()
    var seen = Set<UInt64>()
    for round in 0..<1000 {
      if round % 3 == 0 { _ = random.next32() }
      seen.insert(random.next64())
    }
    #expect(seen.count == 1000)
  }

  @Test func fillTakesAnySize() {
    let random = SecureRandom()
    random.fill(UnsafeMutableRawBufferPointer(start: nil, count: 0))
    var bytes = [UInt8](repeating: 0, count: 70_000)
    bytes.withUnsafeMutableBytes { random.fill($0) }
    #expect(Set(bytes).count == 256)
  }
}

@Suite struct TransportErrorTests {
  @Test func codesAndSentences() {
    let refused = TransportError(errno: ECONNREFUSED, "can't connect to 127.0.0.1:9")
    #expect(refused.code == .refused)
    #expect(refused.text == "can't connect to 127.0.0.1:9: connection refused")
    #expect(TransportError.code(of: ENETUNREACH) == .unreachable)
    #expect(TransportError.code(of: EPIPE) == .reset)
    #expect(TransportError.code(of: EMFILE) == .files)
    #expect(TransportError.code(of: 9999) == .io)
    #expect(lowercasingFirst("SSL") == "SSL")
    #expect(lowercasingFirst("") == "")
  }
}
