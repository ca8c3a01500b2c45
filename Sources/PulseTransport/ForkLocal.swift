// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import Synchronization

/// A mark of the process that a handle was made in.
package struct ForkMark: Sendable {
  private let generation = psys_fork_generation()

  package init() {}

  /// The process is a child that was forked off since: the handle is the parent's.
  @inline(__always) package var isForked: Bool { generation != psys_fork_generation() }
}

/// What a `ForkLocal` gives out: a subclass has the state, which `mutex` guards. (`open`: Swift has no narrower word that
/// lets other modules of the package subclass it.)
open class ForkState: @unchecked Sendable {  // guarded by `mutex`
  fileprivate let mark = ForkMark()
  package let mutex = Mutex()

  public required init() {}
}

/// State that a process has once: made when it is first asked for, and anew in a child after `fork()`.
///
/// The parent's lock may be taken by a thread that does not exist in the child, and its memory be half changed: the
/// child leaves all of it alone, for good. Nothing here waits, so that a fork finds no lock taken that a child needs.
package struct ForkLocal<State: ForkState>: ~Copyable, Sendable {
  private let place = ForkPlace()

  package init() {}

  package var state: State {
    @inline(never) get { unsafeDowncast(place.present() ?? place.install(State()), to: State.self) }
  }

  /// The state with its `mutex` taken.
  package func locked() -> State {
    let state = state
    state.mutex.lock()
    return state
  }
}

/// The part that is the same for all states.
private struct ForkPlace: ~Copyable, Sendable {
  /// The address of the state, which has a reference for it; 0 before the first.
  private let address = Atomic<UInt>(0)

  @inline(never)
  func present() -> ForkState? { Self.state(at: address.load(ordering: .acquiring)) }

  /// Puts the state there, unless another thread has been first; what is there then.
  @inline(never)
  func install(_ made: ForkState) -> ForkState {
    let own = Unmanaged.passRetained(made)
    var found = address.load(ordering: .acquiring)
    while true {
      if let present = Self.state(at: found) {
        own.release()
        return present
      }
      let (isInstalled, other) = address.compareExchange(
        expected: found, desired: UInt(bitPattern: own.toOpaque()), ordering: .acquiringAndReleasing)
      if isInstalled { return made }
      found = other
    }
  }

  /// Nil if it is a parent's.
  private static func state(at address: UInt) -> ForkState? {
    guard let pointer = UnsafeRawPointer(bitPattern: address) else { return nil }
    let state = Unmanaged<ForkState>.fromOpaque(pointer).takeUnretainedValue()
    return state.mark.isForked ? nil : state
  }
}
