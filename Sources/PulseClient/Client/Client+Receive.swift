// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseTransport
import PulseWire
import Synchronization

/// From the queue to the consumer, across connections.
extension Client {
  private static let prefetch = 256

  /// Fills `batch` with up to `max` messages. Their number, or a status code.
  package func receive(into batch: Batch, max: Int, timeout: Int64) -> Int32 {
    guard batch.enter() else { return StatusCode.busy.rawValue }
    defer { batch.leave() }
    // What `pulsews_recv` has taken and not handed out comes first. If another thread is inside it, the two take turns
    // anyhow.
    if singleBatchIsFilled.load(ordering: .relaxed) && singleBatch.enter() {
      defer { singleBatch.leave() }
      if let slice = singleBatch.rest(max) {
        _ = batch.empty()
        batch.fill(slice)
        return Int32(truncatingIfNeeded: batch.count)
      }
      singleBatchIsFilled.store(false, ordering: .relaxed)
    }
    return fill(batch, max: max, timeout: timeout)
  }

  /// Fills a batch that the caller has entered.
  private func fill(_ batch: Batch, max: Int, timeout: Int64) -> Int32 {
    mutex.lock()
    defer { mutex.unlock() }
    if let used = batch.empty() { inbound.giveBack(used) }
    if inbound.front != nil { first.settleTail() }
    if outbound.hasAnnounced { outbound.noteTaken(hasAll: inbound.isEmpty) }
    if inbound.isEmpty && !hasEnded && !closing.hasBegun {
      each { $0.connection?.failPending() }
      if inbound.isEmpty && !hasEnded && !closing.hasBegun { awaitMessage(timeout) }
    }
    if let slice = inbound.take(max) {
      batch.fill(slice)
      outbound.taken(batch.count)
      // Reading goes on when half of the queue is free.
      if inbound.isHalfFree {
        first.consumerCaughtUp()
        second?.consumerCaughtUp()
      }
      if inbound.hasNews { tellNews() }
      if outbound.hasNews { first.announceLosses("") }
      return Int32(truncatingIfNeeded: batch.count)
    }
    if closing.hasBegun { return StatusCode.closed.rawValue }
    if hasEnded { return (first.failure?.code ?? .closed).rawValue }
    if first.life == .idle { return StatusCode.notConnected.rawValue }
    return StatusCode.timeout.rawValue
  }

  /// There is room for what tells of what found none.
  @inline(never)
  private func tellNews() {
    setMoment()
    inbound.tellNews()
    carryOut()
  }

  /// As above for one message. The client's own batch takes many at once and hands them out one by one, which needs
  /// neither the lock nor a reference count.
  package func receive(_ message: UnsafeMutableRawPointer, timeout: Int64) -> Int32 {
    guard singleBatch.enter() else { return StatusCode.busy.rawValue }
    defer { singleBatch.leave() }
    if let record = singleBatch.next() {
      message.copyMemory(from: record, byteCount: MemoryLayout<MessageRecord>.size)
      return StatusCode.ok.rawValue
    }
    let status = fill(singleBatch, max: Client.prefetch, timeout: timeout)
    guard status > 0, let record = singleBatch.next() else { return status }
    if status > 1 { singleBatchIsFilled.store(true, ordering: .relaxed) }
    message.copyMemory(from: record, byteCount: MemoryLayout<MessageRecord>.size)
    return StatusCode.ok.rawValue
  }

  private func awaitMessage(_ timeout: Int64) {
    if first.life == .idle { return }
    // What this thread has sent before leaves before it waits for an answer.
    if let connection = first.connection, connection.output.count > 0 && !connection.writeIsBlocked { connection.flush() }
    if timeout == 0 {
      driveBriefly()
    } else {
      _ = block(until: Client.deadline(after: timeout)) {
        !self.inbound.isEmpty || self.hasEnded || closing.hasBegun
      }
    }
  }
}
