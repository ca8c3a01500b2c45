// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// The limits on connects to one host, which all clients of the process share.
enum HostGate {
  private final class Shared: ForkState, @unchecked Sendable {  // guarded by `mutex`
    let gate = ConnectGate()
  }

  private static let local = ForkLocal<Shared>()

  static func request(_ line: Line) -> (ConnectGate.Ticket?, ConnectGate.Answer) {
    let shared = local.locked()
    let (ticket, answer) = shared.gate.request(
      host: key(line.url), limits: limits(line.client), now: Clock.monotonic(), token: line)
    unlockAndWake(shared)
    return (ticket, answer)
  }

  static func poll(_ ticket: ConnectGate.Ticket) -> ConnectGate.Answer {
    let shared = local.locked()
    let answer = shared.gate.poll(ticket, now: Clock.monotonic())
    unlockAndWake(shared)
    return answer
  }

  static func leave(_ ticket: ConnectGate.Ticket) {
    let shared = local.locked()
    shared.gate.leave(ticket, now: Clock.monotonic())
    unlockAndWake(shared)
  }

  /// A slot for an attempt that is in no hurry: now, or not at all.
  static func takeAtOnce(_ line: Line, _ url: WebSocketURL) -> ConnectGate.Ticket? {
    let shared = local.locked()
    let (ticket, answer) = shared.gate.request(
      host: key(url), limits: limits(line.client), now: Clock.monotonic(), token: line)
    if answer != .go { shared.gate.leave(ticket, now: Clock.monotonic()) }
    unlockAndWake(shared)
    return answer == .go ? ticket : nil
  }

  /// Gives the lock back and wakes those whose turn it may be.
  private static func unlockAndWake(_ shared: Shared) {
    var turn: [LoopHost] = []
    while let (_, token) = shared.gate.popWakeup() {
      let line = unsafeDowncast(token, to: Line.self)
      // Under the lock: a client that ends gives its ticket back first, so that it and its loop are still there.
      line.post(.gate)
      turn.append(line.client.host)
    }
    shared.mutex.unlock()
    for host in turn { host.hurry() }
  }

  private static func limits(_ client: Client) -> ConnectGate.Limits {
    // Between the gate's word and the first packet the loop may have other things to do: some room for that.
    let rate = client.options.hostConnectRate
    let window = RateWindow(count: rate.count, duration: rate.duration &+ rate.duration / 16 &+ 5_000_000)
    return ConnectGate.Limits(
      inFlight: client.options.hostConnects, window: window,
      attemptTime: Clock.deadline(client.options.openTimeout, after: 5_000_000_000))
  }

  private static func key(_ url: WebSocketURL) -> [UInt8] {
    var key = url.host.bytes
    key.append(0x3A)
    key.append(contentsOf: sentence("\(url.port)").bytes)
    return key
  }
}

/// The clients of the process, for statistics over all of them.
enum ClientRegistry {
  private final class Shared: ForkState, @unchecked Sendable {  // guarded by `mutex`
    var clients: [Client] = []
    var lastNumber = 0
  }

  private static let local = ForkLocal<Shared>()

  /// Keeps it until `remove`.
  static func add(_ client: Client) {
    let shared = local.state
    shared.mutex.withLock {
      shared.lastNumber &+= 1
      client.serial = shared.lastNumber
      client.registryIndex = shared.clients.count
      shared.clients.append(client)
    }
  }

  static func remove(_ client: Client) {
    if client.isForked { return }
    let shared = local.state
    shared.mutex.withLock {
      let index = client.registryIndex
      guard index >= 0, index < shared.clients.count, shared.clients[index] === client else { return }
      let last = shared.clients.removeLast()
      if last !== client {
        shared.clients[index] = last
        last.registryIndex = index
      }
      client.registryIndex = -1
    }
  }

  static func all() -> [Client] {
    let shared = local.state
    return shared.mutex.withLock { shared.clients }
  }
}
