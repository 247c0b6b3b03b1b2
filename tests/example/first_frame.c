/* SPDX-License-Identifier: Apache-2.0 */
/* first_frame FILE.dcbs OUT.dcm - writes the first frame of a series as a DICOM file. */
#include <dcb.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    dcb_error error = {DCB_ERR_ARGUMENT, 0, "usage: first_frame FILE.dcbs OUT.dcm"};
    dcb_series *series = NULL;
    dcb_frame *frame = NULL;
    if (argc != 3 || dcb_series_open(&series, argv[1], NULL, &error) != DCB_OK ||
        dcb_series_frame(&frame, series, 0, DCB_ENCODING_STORED, &error) != DCB_OK) {
        fprintf(stderr, "%s: %s\n", dcb_status_text(error.status), error.message);
        dcb_series_close(series);
        return 1;
    }
    size_t nbytes;
    const uint8_t *bytes = dcb_frame_part10(frame, &nbytes);
    FILE *file = fopen(argv[2], "wb");
    int failed = file == NULL || fwrite(bytes, 1, nbytes, file) != nbytes;
    failed |= file == NULL || fclose(file) != 0;
    printf("frame 1 of %u: %s\n", (unsigned)dcb_series_get_info(series)->nframes,
           dcb_frame_sop_instance_uid(frame));
    dcb_frame_release(frame);
    dcb_series_close(series);
    return failed;
}
