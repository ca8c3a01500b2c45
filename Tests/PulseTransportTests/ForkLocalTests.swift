// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import PulseTransport

// Swift hides fork().
private typealias ForkFunction = @convention(c) () -> Int32

/// Runs `body` in a child, which ends with its result or, if it hangs, by the alarm. The wait status of the child.
private func inChild(_ body: () -> Int32) throws -> Int32 {
  let symbol = try #require(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "fork"))
  let child = unsafeBitCast(symbol, to: ForkFunction.self)()
  if child == 0 {
    alarm(20)
    _exit(body())
  }
  try #require(child > 0)
  var status: Int32 = 0
  while waitpid(child, &status, 0) < 0 && errno == EINTR {}
  return status
}

private final class Counter: ForkState, @unchecked Sendable {  // guarded by `mutex`
  var count = 0
}

@Suite struct ForkLocalTests {
  private static let shared = ForkLocal<Counter>()
  private static let contended = ForkLocal<Counter>()
  private static let untouched = ForkLocal<Counter>()

  @Test func markTellsParentFromChild() throws {
    let mark = ForkMark()
    let status = try inChild { mark.isForked && !ForkMark().isForked ? 42 : 1 }
    #expect(status == 42 << 8)
    #expect(!mark.isForked)
  }

  @Test func childForgetsStateAndLeavesTheLockAlone() throws {
    let parents = Self.shared.locked()
    parents.count = 7
    // The parent's lock stays taken in the child, where nobody would ever give it back.
    let status = try inChild {
      let fresh = Self.shared.locked()
      let isFresh = fresh !== parents && fresh.count == 0
      fresh.count = 1
      fresh.mutex.unlock()
      // What was the parent's is neither freed nor changed, and the new state stays.
      return isFresh && parents.count == 7 && Self.shared.state === fresh ? 42 : 1
    }
    parents.mutex.unlock()
    #expect(status == 42 << 8)
    #expect(Self.shared.state === parents)
    #expect(parents.count == 7)
  }

  @Test func childMakesWhatTheParentHadNot() throws {
    let status = try inChild { Self.untouched.state === Self.untouched.state ? 42 : 1 }
    #expect(status == 42 << 8)
  }

  @Test func threadsThatComeFirstTogetherGetOneState() throws {
    let rounds = 2000
    let threads = try (0..<4).map { _ in
      try Thread.start(name: "fork-local") {
        for _ in 0..<rounds {
          let state = Self.contended.locked()
          state.count += 1
          state.mutex.unlock()
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(Self.contended.state.count == 4 * rounds)
  }
}
