// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// A snapshot that was made for the topic's present end.
final class CachedSnapshot {
  let history: Int
  let form: Form
  let isCompressed: Bool
  let frame: SharedFrame

  init(history: Int, form: Form, isCompressed: Bool, frame: SharedFrame) {
    self.history = history
    self.form = form
    self.isCompressed = isCompressed
    self.frame = frame
  }
}

extension Topic {
  /// Whence a subscription goes on, and what its peer gets first, decided at one instant. Before or after it, under the
  /// same lock, the owner attaches the reader.
  package func subscribe(_ wish: SubscribeWish, now: Int64) -> Cut {
    trim(now: now)
    var cut = Cut(topic: info, epoch: epoch, end: end, state: state)
    cut.form = wish.form
    cut.isCompressed = wish.compressed
    if let since = wish.since { resume(since, wish.most, &cut) }
    if !cut.recovered { addSnapshot(wish.history, &cut) }
    return cut
  }

  /// What it has for a newcomer: the latest of each key if it keeps those, else its history. `text` of it is made
  /// without the topic.
  package func snapshot(now: Int64) -> Cut {
    trim(now: now)
    var cut = Cut(topic: info, epoch: epoch, end: end, state: state)
    if let latest {
      latest.appendAll(to: &cut.items)
    } else {
      appendRing(from: ring.first) { cut.items.append($0.publication) }
    }
    return cut
  }

  private func resume(_ since: ResumePoint, _ most: Int, _ cut: inout Cut) {
    if since.epoch != epoch {
      cut.gap = Gap(from: 0, to: end.offset, cause: .hubRestart)
      return
    }
    if since.offset > end.offset {
      cut.gap = Gap(from: 0, to: end.offset, cause: .history)
      return
    }
    if since.offset == end.offset {
      cut.recovered = true
      return
    }
    cut.gap = Gap(from: since.offset &+ 1, to: end.offset, cause: .history)
    if ring.count == 0 { return }
    let first = ring.firstOrdinal(above: since.offset)
    // Forgotten, or no message ever had the offset.
    if first > end.ordinal || ring.delivery(first).previous != since.offset { return }
    if end.ordinal &- first >= UInt64(max(0, most)) {
      cut.gap?.cause = .slow
      return
    }
    cut.gap = nil
    cut.recovered = true
    cut.position = TopicPosition(offset: since.offset, ordinal: first &- 1)
    appendRing(from: first) { cut.deliveries.append($0) }
  }

  private func appendRing(from first: UInt64, _ body: (Delivery) -> Void) {
    var ordinal = first
    while ordinal <= end.ordinal {
      body(ring.delivery(ordinal))
      ordinal &+= 1
    }
  }

  /// The messages that the peer asked for, or the latest of each key if the topic gives those.
  private func addSnapshot(_ wanted: Int, _ cut: inout Cut) {
    let history = min(max(0, wanted), ring.count)
    cut.hasSnapshot = wanted > 0 || info.settings.latest
    if !cut.hasSnapshot { return }
    cut.history = wanted > 0 ? history : -1
    let first = end.ordinal &+ 1 &- UInt64(history)
    if wanted > 0, history > 0, let gap = cut.gap {
      // What the snapshot has is not missing.
      let before = ring.delivery(first).previous
      cut.gap = gap.from > before ? nil : Gap(from: gap.from, to: before, cause: gap.cause)
    }
    for cached in snapshots
    where cached.history == cut.history && cached.form == cut.form && cached.isCompressed == cut.isCompressed {
      cut.cached = cached.frame
      return
    }
    if wanted > 0 {
      appendRing(from: first) { cut.items.append($0.publication) }
    } else {
      latest?.appendAll(to: &cut.items)
    }
  }

  /// Keeps what a cut's `snapshotFrame` made, for those who ask before the next message.
  package func keep(_ frame: SharedFrame, of cut: Cut) {
    if cut.end != end || cut.cached != nil || snapshots.count >= 8 { return }
    for cached in snapshots
    where cached.history == cut.history && cached.form == cut.form && cached.isCompressed == cut.isCompressed { return }
    snapshots.append(
      CachedSnapshot(history: cut.history, form: cut.form, isCompressed: cut.isCompressed, frame: frame))
  }
}
