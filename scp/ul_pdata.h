/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_pdata.h - messages out as P-DATA-TF PDUs (PS3.8 9.3.5). Private to the ul_*.c[c] files.
 *
 * One PDV in a PDU; each as large as the peer's maximum and UL_PDV_MAX allow, even in length but
 * for a message's last; nothing is copied but the 12-byte heads.
 */
#ifndef UL_PDATA_H
#define UL_PDATA_H

#include "ul_transport.h"

#ifdef __cplusplus
extern "C" {
#endif

#define UL_PDV_MAX (1u << 20) /* also for peers without limit */

/* The longest fragment for a peer's maximum PDU length (0: none); 0 where that leaves no room. */
size_t ul_fragment_size(uint32_t peer_max_pdu);

/* A command (NULL: none) and a data set (nslices 0: none) of one message. */
ul_io ul_pdata_send(ul_transport *t, size_t fragment_size, uint8_t context_id, const void *command,
                    size_t command_nbytes, const struct iovec *slices, size_t nslices);

#ifdef __cplusplus
}
#endif
#endif
