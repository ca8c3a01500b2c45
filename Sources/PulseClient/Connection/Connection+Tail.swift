// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// A peer that ends while reading pauses. The system keeps what had arrived, and the consumer gets all of it, at its own
/// pace. The client's lock is held.
///
/// Where nothing but a copy is to be done with messages, the bytes are taken from the system at once, as they are, and
/// the client goes on to its next connection: what is sent need not wait for a consumer that is away. This connection
/// stays as the tail, with its bytes and its decompressor, until the consumer has taken everything. Else the order in
/// which messages are judged matters, and the connection stays the present one, on which nothing is sent any more.
extension Connection {
  /// The peer has ended its side, or the connection is broken. Only the driver calls this.
  func inputWillEnd() {
    inputIsEnding = true
    guard readingPaused, phase == .open else { return }
    line.log(.info) {
      "\(self.url.redacted): the connection has ended; what came before waits for the application to make room"
    }
    line.canSendChanged()
    becomeTail()
  }

  /// The end had its event before reading paused: there will be no other.
  func pauseAtEnd() {
    if readingPaused && phase == .open && (inputIsEnding || brokenWrite != nil) { becomeTail() }
  }

  /// Nothing happens if the client has no place for it, or the end has not arrived.
  func becomeTail() {
    guard line.takesTail(of: self) else { return }
    while let stream {
      switch stream.read(into: host.readBuffer) {
      case .bytes(let count):
        line.statistics.bytesReceived &+= UInt64(count)
        unread.append(UnsafeRawBufferPointer(rebasing: host.readBuffer[0..<count]))
        continue
      case .wouldBlock:
        guard let brokenWrite else { return }
        return leaveAsTail(Failure(brokenWrite))
      case .end:
        return leaveAsTail(endOfStream)
      case .failed(let error):
        return leaveAsTail(Failure(error))
      }
    }
  }

  private func leaveAsTail(_ failure: Failure) {
    var failure = failure
    if let close = wire?.closeFrame(in: unread.readable) { failure = closedByPeer(close.code, close.reason) }
    line.beginTail(self)
    end(failure)
  }

  /// More of it goes to the queue, as far as there is room.
  func receiveTail() {
    readingPaused = false
    receiveUnread()
    if readingPaused { return }
    if let problem = wire?.failure {
      line.log(.error) { "\(self.url.redacted): what came before the end can't be read any further: \(problem.text)" }
    }
    // Those for which there was no memory.
    if !client.closing.hasBegun { client.emitDiscarded() }
    addCompression()
    wire = nil
    line.tail = nil
  }
}

extension Line {
  /// The end of a connection can be put aside until the consumer has room.
  func takesTail(of ending: Connection) -> Bool {
    ending === connection && ending.pendingFailure == nil && tail == nil && inbound.front == nil
      && !inbound.handles && !client.settings.inspects && client.options.receiveQueuePolicy == .pause && !client.closing.hasBegun
  }

  /// What comes from here on, messages and events, stands behind the tail.
  func beginTail(_ ending: Connection) {
    tail = ending
    inbound.beginFront()
    outbound.frontBegins()
  }

  /// Before the consumer takes: makes sure that there is something at the front, if there is anything at all.
  @inline(never)
  func settleTail() {
    guard let front = inbound.front else { return }
    if front.bytes <= client.options.receiveQueueBytes / 2 { tail?.receiveTail() }
    guard front.isEmpty && tail == nil else { return }
    outbound.frontEnds(passed: inbound.endFront(), ahead: inbound.queue.count)
  }
}
