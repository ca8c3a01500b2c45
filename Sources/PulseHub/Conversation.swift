// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseServe
import PulseText
import PulseTransport
import PulseWire

/// The requests of a connection that is not a peer (yet).
final class Conversation {
  let parser: RequestParser
  /// A request is answered later, or its answer is a file that is on its way.
  var isAnswering = false
  /// Nothing is read behind the answer.
  var isLast = false
  var current: Request?
  /// The body of a request is coming, and its time runs.
  var isInBody = false
  /// The client asks and does not take its answers: nothing more is read until it does.
  var awaitsRoom = false
  /// What came behind the request that is answered later.
  var unread: [UInt8] = []
  var file: FileTransfer?
  /// The application is asked about it.
  var upgrade: PendingUpgrade?

  init(limits: RequestLimits) { parser = RequestParser(limits: limits) }
}

/// An upgrade that is not decided yet.
final class PendingUpgrade {
  let request: Request
  let route: HubRoute
  let offer: UpgradeOffer
  var identity: HubIdentity?
  /// What came behind the request.
  let rest: [UInt8]

  init(_ request: Request, _ route: HubRoute, _ offer: UpgradeOffer, rest: [UInt8]) {
    self.request = request
    self.route = route
    self.offer = offer
    self.rest = rest
  }
}

/// A file, or a part of one, that is the body of an answer.
final class FileTransfer {
  private let descriptor: Int32
  private var offset: Int64
  private var left: Int64

  /// Takes the descriptor over.
  init(_ descriptor: Int32, from offset: Int64, count: Int64) {
    self.descriptor = descriptor
    self.offset = offset
    left = count
  }

  deinit { psys_close(descriptor) }

  var isDone: Bool { left <= 0 }

  /// Appends the next piece. False if the file can't be read, or has become shorter than was said.
  func read(into output: inout ByteQueue) -> Bool {
    let wanted = Int(min(left, 64 << 10))
    let count = psys_file_read(descriptor, output.reserve(wanted), wanted, offset)
    if count <= 0 { return false }
    output.commit(Int(count))
    offset &+= count
    left &-= count
    return true
  }
}
