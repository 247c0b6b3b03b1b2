/* SPDX-License-Identifier: Apache-2.0 */
/* dictionary_dcmtk.cc - dictionary.h over DCMTK's global data dictionary, which locks itself. */
#include "dictionary.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdicent.h>
#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/dcmdata/dctagkey.h>
#include <dcmtk/dcmdata/dcvr.h>

extern "C" int dictionary_load(scp_error *error)
{
    try {
        if (dcmDataDict.isDictionaryLoaded())
            return 0;
    } catch (...) {
    }
    return scp_fail(error, "DCMTK's data dictionary (dicom.dic) is not there: install the package "
                           "that holds it, or name the file in the environment variable "
                           "DCMDICTPATH");
}

/* What DCMTK calls the VRs that depend on the data set (PS3.6: "US or SS", "OB or OW", ...). */
static dcb_vr vr_of(DcmEVR evr)
{
    switch (evr) {
    case EVR_xs:
        return DCB_VR('U', 'S');
    case EVR_ox:
    case EVR_lt:
    case EVR_px:
        return DCB_VR('O', 'W');
    case EVR_up:
        return DCB_VR('U', 'L');
    default:
        break;
    }
    const char *name = DcmVR(evr).getValidVRName();
    if (name == nullptr || name[0] == '\0' || name[1] == '\0')
        return 0;
    const dcb_vr vr = DCB_VR((unsigned char)name[0], (unsigned char)name[1]);
    return vr != DCB_VR('U', 'N') && dcb_vr_is_known(vr) ? vr : 0;
}

extern "C" dcb_vr dictionary_vr(void *context, uint32_t tag)
{
    (void)context;
    const Uint16 group = (Uint16)(tag >> 16);
    const Uint16 element = (Uint16)(tag & 0xFFFF);
    if ((group & 1) != 0) /* private creators have a known VR; the rest depends on them */
        return element >= 0x10 && element <= 0xFF ? DCB_VR('L', 'O') : 0;
    try {
        dcb_vr vr = 0;
        const DcmDataDictionary &dictionary = dcmDataDict.rdlock();
        const DcmDictEntry *entry = dictionary.findEntry(DcmTagKey(group, element), nullptr);
        if (entry != nullptr)
            vr = vr_of(entry->getEVR());
        dcmDataDict.rdunlock();
        return vr;
    } catch (...) {
        return 0;
    }
}
