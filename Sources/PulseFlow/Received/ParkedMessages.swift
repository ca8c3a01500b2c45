// SPDX-License-Identifier: Apache-2.0

/// A message that has waited.
package struct ParkedMessage {
  package let side: Int
  package let number: FeedNumber
  package let kind: UInt32
  package let flags: UInt32
  package let receivedAt: Int64
  package let payload: UnsafeRawBufferPointer
}

/// Copies of messages that wait, in order of arrival.
struct ParkedMessages: ~Copyable {
  /// What a message costs besides its payload.
  static let overhead = 128

  struct Node {
    var side: UInt8
    var number: FeedNumber
    var deadline: Int64
    var kind: UInt32
    var flags: UInt32
    var receivedAt: Int64
    var payload: UnsafeMutableRawBufferPointer
    /// In order of arrival. `later` also links the free nodes.
    var earlier: Int32 = -1
    var later: Int32 = -1
    /// In order of the numbers of a key; the owner's.
    var before: Int32 = -1
    var after: Int32 = -1
  }

  var nodes: [Node] = []
  private(set) var oldest: Int32 = -1
  private var newest: Int32 = -1
  private var free: Int32 = -1
  private(set) var count = 0
  private(set) var bytes = 0
  /// Of the message that was lent last.
  private var lent = UnsafeMutableRawBufferPointer(start: nil, count: 0)

  deinit {
    lent.deallocate()
    var node = oldest
    while node >= 0 {
      nodes[Int(node)].payload.deallocate()
      node = nodes[Int(node)].later
    }
  }

  mutating func append(
    _ side: Int, _ number: FeedNumber, _ deadline: Int64, _ kind: UInt32, _ flags: UInt32,
    _ payload: UnsafeRawBufferPointer, _ receivedAt: Int64
  ) -> Int32 {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 8)
    copy.copyMemory(from: payload)
    let node = Node(
      side: UInt8(truncatingIfNeeded: side), number: number, deadline: deadline, kind: kind, flags: flags,
      receivedAt: receivedAt, payload: copy, earlier: newest)
    var index = free
    if index >= 0 {
      free = nodes[Int(index)].later
      nodes[Int(index)] = node
    } else {
      index = Int32(truncatingIfNeeded: nodes.count)
      nodes.append(node)
    }
    if newest >= 0 { nodes[Int(newest)].later = index } else { oldest = index }
    newest = index
    count &+= 1
    bytes &+= payload.count &+ ParkedMessages.overhead
    return index
  }

  /// Takes a message out; its payload is the caller's, to lend or to free with `takeBack`.
  mutating func remove(_ index: Int) {
    let node = nodes[index]
    if node.earlier >= 0 { nodes[Int(node.earlier)].later = node.later } else { oldest = node.later }
    if node.later >= 0 { nodes[Int(node.later)].earlier = node.earlier } else { newest = node.earlier }
    nodes[index].later = free
    free = Int32(truncatingIfNeeded: index)
    count &-= 1
    bytes &-= node.payload.count &+ ParkedMessages.overhead
    takeBack()
    lent = node.payload
  }

  func lend(_ node: Node) -> ParkedMessage {
    ParkedMessage(
      side: Int(node.side), number: node.number, kind: node.kind, flags: node.flags, receivedAt: node.receivedAt,
      payload: UnsafeRawBufferPointer(node.payload))
  }

  mutating func takeBack() {
    lent.deallocate()
    lent = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    // There may have been many.
    if count == 0 && nodes.count > 64 {
      nodes = []
      free = -1
    }
  }
}
