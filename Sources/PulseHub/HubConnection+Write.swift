// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseProcess
import PulseText
import PulseTopics
import PulseTransport
import PulseWire

/// Writing: answers first, then what a peer's queue has, as much in one call as there is.
extension HubConnection {
  /// Calls of the kernel that one turn makes for a connection.
  private static let writes = 32

  private static let mostJoined = 16 << 10

  /// Whatever waits goes out, as far as the kernel takes it.
  func flush() {
    isDue = false
    var turns = 0
    while phase != .ended, !writeIsBlocked {
      // A peer that takes all there is leaves the others their turn.
      if turns == HubConnection.writes { return writeSoon() }
      turns &+= 1
      if output.count > 0 {
        if !writeOutput() { return }
      } else if conversation?.file != nil {
        if !refillFile() { return }
      } else if let peer {
        if !write(peer) { return afterWriting(peer) }
      } else if let conversation, conversation.awaitsRoom {
        conversation.awaitsRoom = false
        goOn(conversation)
      } else {
        if let conversation, conversation.isLast, !conversation.isAnswering { end(.closed) }
        return
      }
    }
  }

  /// False when nothing more can be written now.
  private func writeOutput() -> Bool {
    switch stream.write(output.readable) {
    case .bytes(let count):
      output.consume(count)
      owner.statistics.bytesWritten &+= UInt64(count)
      wroteAt = owner.host.loop.turnTime
      if output.isEmpty {
        output.removeAll(keepingCapacityUpTo: 0)
      } else if let conversation, !conversation.isAnswering {
        answerMoves(conversation)
      }
      return true
    case .wouldBlock: writeIsBlocked = !stream.needsReadable
    case .end, .failed: end(.lost)
    }
    return false
  }

  /// False when there is nothing more, or nothing more can be written now.
  private func write(_ peer: HubPeer) -> Bool {
    let queue = peer.queue
    if queue.outgoingCount == 0 {
      if !queue.hasWork { return false }
      queue.fill(owner.encoder)
      if queue.outgoingCount == 0 { return false }
    }
    if queue.outgoingCount == 1 { return noteWritten(queue, stream.write(queue.outgoing(0))) }
    // To copy small frames together costs less than the kernel's work with many pieces.
    let isSmall = queue.outgoingBytes <= HubConnection.mostJoined
    return noteWritten(queue, (isSmall ? nil : writePieces(queue)) ?? writeJoined(queue))
  }

  /// Whether messages need not wait in the queue: nothing stands in front of them, and the kernel takes something.
  @inline(__always) func takes(_ run: DeliveryRun, _ subscription: Subscription, _ queue: PeerQueue) -> Bool {
    phase == .open && !isDue && !writeIsBlocked && output.count == 0 && run.isNext(for: subscription, queue)
  }

  /// Messages that it takes.
  func write(_ run: DeliveryRun, _ subscription: Subscription, _ queue: PeerQueue) {
    let frame = run.frame(subscription, queue, owner.encoder)
    let result = stream.write(frame.bytes)
    if case .bytes(let count) = result, count == frame.count {
      owner.statistics.bytesWritten &+= UInt64(count)
      wroteAt = owner.host.loop.turnTime
      return run.wasWritten(subscription, queue)
    }
    run.wasCut(subscription, queue, owner.encoder)
    if noteWritten(queue, result) { owner.setDue(self) }
  }

  private func noteWritten(_ queue: PeerQueue, _ result: IOResult) -> Bool {
    switch result {
    case .bytes(let count):
      owner.statistics.bytesWritten &+= UInt64(count)
      wroteAt = owner.host.loop.turnTime
      queue.advance(count)
      return true
    case .wouldBlock:
      writeIsBlocked = !stream.needsReadable
      return false
    case .end, .failed:
      end(.lost)
      return false
    }
  }

  /// All frames that are due in one call, from where they lie; nil if the stream has no such call.
  private func writePieces(_ queue: PeerQueue) -> IOResult? {
    withUnsafeTemporaryAllocation(of: psys_piece.self, capacity: PeerQueue.maxOutgoing) { pieces in
      let count = min(queue.outgoingCount, pieces.count)
      for index in 0..<count {
        let bytes = queue.outgoing(index)
        pieces.initializeElement(at: index, to: psys_piece(bytes: bytes.baseAddress, count: bytes.count))
      }
      return stream.write(pieces: UnsafeBufferPointer(rebasing: pieces[..<count]))
    }
  }

  /// TLS makes a record of each call, so that frames go together there. What did not leave stands at the front the next time, with
  /// at least as many bytes.
  private func writeJoined(_ queue: PeerQueue) -> IOResult {
    let joined = owner.joined
    joined.removeAll()
    joined.append(queue)
    return stream.write(joined.bytes)
  }

  private func afterWriting(_ peer: HubPeer) {
    guard phase != .ended, !writeIsBlocked else { return }
    if !peer.queue.hasWork {
      peer.wasSlow = false
      if phase == .open, let code = peer.closesWhenEmpty {
        close(code: code, peer.transient?.closeReason ?? [])
        return flush()
      }
      if phase == .closing, peer.closeIsAnswered { return end(.closed) }
      peer.queue.shrink()
    }
    if readingIsPaused, peer.wasFlooding, !peer.isFlooding {
      takeHeldBack(peer)
    }
  }
}

/// Frames that go out in one call.
final class JoinedBytes {
  private var queue = ByteQueue()

  var bytes: UnsafeRawBufferPointer { queue.readable }

  func removeAll() { queue.removeAll(keepingCapacityUpTo: 256 << 10) }

  func append(_ peer: PeerQueue) { peer.joinOutgoing(into: &queue) }
}
