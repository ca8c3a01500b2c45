// SPDX-License-Identifier: Apache-2.0
import PulseTransport
import PulseWire

/// A connection whose client is done with it: writes the last bytes, says goodbye, and waits shortly for the peer to
/// end it too. Closing at once could answer bytes on their way with a reset, which would destroy the close frame
/// before the peer has read it.
package final class Linger: EventHandler, @unchecked Sendable {  // guarded by `mutex`
  private static let patience: Int64 = 1_000_000_000

  private let mutex = Mutex()
  private let host: LoopHost
  private let stream: ByteStream
  private var rest = ByteQueue()
  private var registration: Registration?
  private var timer: TimerID?
  private var isShutDown = false

  private init(_ stream: ByteStream, host: LoopHost) {
    self.stream = stream
    self.host = host
  }

  /// Takes the stream over; it is registered nowhere. The loop keeps this object until it is done.
  package static func start(_ stream: ByteStream, rest: UnsafeRawBufferPointer, host: LoopHost) {
    let linger = Linger(stream, host: host)
    linger.mutex.lock()
    defer { linger.mutex.unlock() }
    linger.rest.append(rest)
    do throws(TransportError) {
      linger.registration = try host.loop.register(
        stream.descriptor, linger, for: linger.rest.count > 0 ? [.readable, .writable] : .readable)
    } catch {
      stream.close()
      return
    }
    host.add(linger)
    linger.timer = host.loop.schedule(linger, deadline: Clock.monotonic() &+ patience)
    if linger.rest.count == 0 { linger.shutDown() }
  }

  package override func handle(_ ready: Readiness) {
    mutex.lock()
    defer { mutex.unlock() }
    guard registration != nil else { return }
    while rest.count > 0 {
      switch stream.write(rest.readable) {
      case .bytes(let count): rest.consume(count)
      case .wouldBlock: return discardInput(ready.contains(.hangup))
      case .end, .failed: return finish()
      }
    }
    shutDown()
    discardInput(ready.contains(.hangup))
  }

  package override func timerFired(_ tag: Int, _ timer: TimerID) {
    mutex.lock()
    defer { mutex.unlock() }
    self.timer = nil
    finish()
  }

  private func shutDown() {
    if isShutDown { return }
    isShutDown = true
    stream.shutdown()
    if let registration { host.loop.update(registration, for: .readable) }
  }

  private func discardInput(_ hangup: Bool) {
    for _ in 0..<16 {
      switch stream.read(into: host.readBuffer) {
      case .bytes: continue
      case .wouldBlock:
        if hangup { finish() }
        return
      case .end, .failed: return finish()
      }
    }
  }

  /// The loop is not driven any more.
  func endNow() {
    mutex.lock()
    defer { mutex.unlock() }
    finish()
  }

  private func finish() {
    guard let registration else { return }
    host.loop.unregister(registration)
    self.registration = nil
    host.remove(self)
    if let timer { host.loop.cancel(timer) }
    timer = nil
    stream.close()
  }
}
